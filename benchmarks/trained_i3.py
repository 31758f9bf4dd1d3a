"""Data, written by ``benchmarks.train``: the model of the schema bench.i3."""

from telemetry.codec.models import Calm, ColumnModel, Grid, Move, Predictor, Term

COLUMNS = (
    ColumnModel(
        predictors=(
            Predictor(own=(65536, 0, 0), constant=0, terms=(), grids=()),
            Predictor(own=(131072, -65536, 0), constant=0, terms=(), grids=()),
        ),
        first=Predictor(own=(0, 0, 0), constant=0, terms=(), grids=()),
        rise=1000,
        calm=Calm(own=(0, 0, 0), constant=0, moves=(), start=0),
    ),
    ColumnModel(
        predictors=(
            Predictor(
                own=(66138, -1045, 0),
                constant=344514,
                terms=(
                    Term(weight=4860, column=2, lag=0, times=None, shift=0),
                    Term(weight=-4451, column=2, lag=1, times=None, shift=0),
                    Term(weight=-212, column=2, lag=2, times=None, shift=0),
                    Term(weight=-23, column=2, lag=-1, times=None, shift=0),
                ),
                grids=(),
            ),
            Predictor(own=(65536, 0, 0), constant=0, terms=(), grids=()),
            Predictor(own=(131072, -65536, 0), constant=0, terms=(), grids=()),
        ),
        first=Predictor(
            own=(0, 0, 0),
            constant=45802496,
            terms=(
                Term(weight=6059, column=2, lag=0, times=None, shift=0),
                Term(weight=6237, column=3, lag=0, times=None, shift=0),
            ),
            grids=(),
        ),
        rise=0,
        calm=Calm(
            own=(7313, 4142, 4175),
            constant=8728,
            moves=(
                Move(weight=369, column=2, lag=0, other=1),
                Move(weight=24, column=2, lag=0, other=None),
            ),
            start=0,
        ),
    ),
    ColumnModel(
        predictors=(
            Predictor(
                own=(59556, 405, 0),
                constant=-29036,
                terms=(
                    Term(weight=-13605, column=7, lag=0, times=6, shift=10),
                    Term(weight=12678, column=7, lag=1, times=6, shift=10),
                    Term(weight=-389, column=7, lag=-1, times=6, shift=10),
                    Term(weight=248, column=7, lag=0, times=None, shift=0),
                    Term(weight=-946, column=7, lag=0, times=7, shift=6),
                    Term(weight=876, column=7, lag=1, times=7, shift=6),
                    Term(weight=-7634, column=10, lag=0, times=None, shift=0),
                    Term(weight=6737, column=10, lag=1, times=None, shift=0),
                    Term(weight=-4480, column=11, lag=0, times=None, shift=0),
                    Term(weight=720, column=11, lag=1, times=None, shift=0),
                ),
                grids=(),
            ),
            Predictor(own=(65536, 0, 0), constant=0, terms=(), grids=()),
            Predictor(own=(131072, -65536, 0), constant=0, terms=(), grids=()),
        ),
        first=Predictor(
            own=(0, 0, 0),
            constant=-424184,
            terms=(
                Term(weight=-14333, column=7, lag=0, times=6, shift=10),
                Term(weight=-12940, column=10, lag=0, times=None, shift=0),
                Term(weight=-39624, column=11, lag=0, times=None, shift=0),
            ),
            grids=(),
        ),
        rise=0,
        calm=Calm(
            own=(19529, 4466, 5825),
            constant=13215,
            moves=(
                Move(weight=464, column=7, lag=0, other=1),
                Move(weight=347, column=7, lag=0, other=None),
                Move(weight=3319, column=8, lag=0, other=1),
                Move(weight=1141, column=8, lag=0, other=-1),
            ),
            start=3,
        ),
    ),
    ColumnModel(
        predictors=(
            Predictor(own=(65536, 0, 0), constant=0, terms=(), grids=()),
            Predictor(own=(131072, -65536, 0), constant=0, terms=(), grids=()),
        ),
        first=Predictor(own=(0, 0, 0), constant=48494212, terms=(), grids=()),
        rise=0,
        calm=Calm(
            own=(0, 0, 0),
            constant=182,
            moves=(
                Move(weight=119, column=2, lag=0, other=None),
                Move(weight=32, column=2, lag=0, other=1),
                Move(weight=2, column=2, lag=0, other=-1),
            ),
            start=0,
        ),
    ),
    ColumnModel(
        predictors=(
            Predictor(own=(65536, 0, 0), constant=0, terms=(), grids=()),
            Predictor(own=(131072, -65536, 0), constant=0, terms=(), grids=()),
        ),
        first=Predictor(
            own=(0, 0, 0),
            constant=79764,
            terms=(Term(weight=15018, column=3, lag=0, times=None, shift=0),),
            grids=(),
        ),
        rise=0,
        calm=Calm(
            own=(0, 0, 0),
            constant=1437,
            moves=(
                Move(weight=3914, column=3, lag=0, other=1),
                Move(weight=1088, column=3, lag=0, other=-1),
            ),
            start=0,
        ),
    ),
    ColumnModel(
        predictors=(
            Predictor(own=(65536, 0, 0), constant=0, terms=(), grids=()),
            Predictor(own=(131072, -65536, 0), constant=0, terms=(), grids=()),
        ),
        first=Predictor(own=(0, 0, 0), constant=4222666, terms=(), grids=()),
        rise=0,
        calm=Calm(own=(2626, 0, 0), constant=223, moves=(), start=0),
    ),
    ColumnModel(
        predictors=(
            Predictor(
                own=(98011, -2954, -29541),
                constant=-2772,
                terms=(
                    Term(weight=119839, column=7, lag=0, times=None, shift=0),
                    Term(weight=54903, column=7, lag=1, times=None, shift=0),
                    Term(weight=-121869, column=7, lag=2, times=None, shift=0),
                    Term(weight=-37801, column=7, lag=3, times=None, shift=0),
                    Term(weight=-9862, column=7, lag=-1, times=None, shift=0),
                    Term(weight=-406, column=7, lag=-2, times=None, shift=0),
                ),
                grids=(),
            ),
            Predictor(own=(65536, 0, 0), constant=0, terms=(), grids=()),
            Predictor(own=(131072, -65536, 0), constant=0, terms=(), grids=()),
        ),
        first=Predictor(own=(0, 0, 0), constant=273161182, terms=(), grids=()),
        rise=0,
        calm=Calm(
            own=(20265, 10672, 6655),
            constant=3275,
            moves=(
                Move(weight=18914, column=7, lag=0, other=1),
                Move(weight=6293, column=7, lag=0, other=-1),
                Move(weight=4401, column=7, lag=0, other=None),
            ),
            start=34,
        ),
    ),
    ColumnModel(
        predictors=(
            Predictor(own=(66168, -12482, 2995), constant=100365, terms=(), grids=()),
            Predictor(own=(65536, 0, 0), constant=0, terms=(), grids=()),
            Predictor(own=(131072, -65536, 0), constant=0, terms=(), grids=()),
        ),
        first=Predictor(own=(0, 0, 0), constant=716418, terms=(), grids=()),
        rise=0,
        calm=Calm(own=(20003, 8669, 10033), constant=933652, moves=(), start=32),
    ),
    ColumnModel(
        predictors=(
            Predictor(
                own=(10824, -64, 0),
                constant=1036978,
                terms=(
                    Term(weight=18591, column=7, lag=0, times=None, shift=0),
                    Term(weight=633, column=7, lag=1, times=None, shift=0),
                    Term(weight=141, column=7, lag=-1, times=None, shift=0),
                    Term(weight=-5846, column=6, lag=0, times=None, shift=0),
                    Term(weight=3270, column=6, lag=1, times=None, shift=0),
                    Term(weight=2645, column=6, lag=-1, times=None, shift=0),
                ),
                grids=(
                    Grid(
                        x=7,
                        y=6,
                        lag=0,
                        x_knots=(-100, -40, -10, 0, 10, 40, 80, 140, 220, 320, 500),
                        y_knots=(0, 100, 500, 1500, 3000, 5000, 8000, 11000),
                        heights=(
                            -58058254,
                            -3881702,
                            -1785748,
                            -1044033,
                            -1252686,
                            -469458,
                            -323921,
                            -1135968,
                            -3078802,
                            -3480627,
                            0,
                            -870251,
                            -766841,
                            -1097783,
                            -1104808,
                            -714958,
                            -364400,
                            -1146019,
                            -1100258,
                            -2440778,
                            -5041177,
                            0,
                            1471743,
                            1020996,
                            1172876,
                            1120749,
                            2238409,
                            97113,
                            1093569,
                            -149621,
                            -912500,
                            -1432485,
                            3049036,
                            1797173,
                            1764573,
                            1959203,
                            2058997,
                            2337840,
                            1884582,
                            1583816,
                            1417789,
                            8040,
                            -2869746,
                            1556759,
                            1585531,
                            1680023,
                            1901635,
                            2061049,
                            2252374,
                            2424256,
                            2080561,
                            1241609,
                            756518,
                            12009612,
                            -71277577,
                            1498410,
                            1492242,
                            1707297,
                            1938361,
                            2362695,
                            2650286,
                            2272018,
                            1861327,
                            856213,
                            -781201,
                            2017245,
                            1206317,
                            1116133,
                            1475687,
                            1739273,
                            2502291,
                            2764466,
                            2432463,
                            1679980,
                            916655,
                            1065352,
                            4530725,
                            -59405,
                            424681,
                            919035,
                            1536473,
                            2615571,
                            2655789,
                            2550440,
                            2226298,
                            3347860,
                            9489223,
                            46200712,
                        ),
                    ),
                ),
            ),
            Predictor(own=(65536, 0, 0), constant=0, terms=(), grids=()),
            Predictor(own=(131072, -65536, 0), constant=0, terms=(), grids=()),
        ),
        first=Predictor(
            own=(0, 0, 0),
            constant=3502342,
            terms=(
                Term(weight=24639, column=7, lag=0, times=None, shift=0),
                Term(weight=106, column=6, lag=0, times=None, shift=0),
            ),
            grids=(),
        ),
        rise=0,
        calm=Calm(
            own=(14936, 7388, 7328),
            constant=553,
            moves=(
                Move(weight=2018, column=7, lag=0, other=1),
                Move(weight=2759, column=7, lag=0, other=-1),
                Move(weight=300, column=7, lag=0, other=None),
            ),
            start=4,
        ),
    ),
    ColumnModel(
        predictors=(
            Predictor(own=(65536, 0, 0), constant=0, terms=(), grids=()),
            Predictor(own=(131072, -65536, 0), constant=0, terms=(), grids=()),
        ),
        first=Predictor(
            own=(0, 0, 0),
            constant=-4143072,
            terms=(Term(weight=192360, column=5, lag=0, times=None, shift=0),),
            grids=(),
        ),
        rise=0,
        calm=Calm(own=(15890, 2469, 2484), constant=1834, moves=(), start=0),
    ),
    ColumnModel(
        predictors=(
            Predictor(own=(65536, 0, 0), constant=0, terms=(), grids=()),
            Predictor(own=(131072, -65536, 0), constant=0, terms=(), grids=()),
        ),
        first=Predictor(own=(0, 0, 0), constant=405841, terms=(), grids=()),
        rise=0,
        calm=Calm(own=(14447, 5187, 5834), constant=7300, moves=(), start=0),
    ),
    ColumnModel(
        predictors=(
            Predictor(own=(65536, 0, 0), constant=0, terms=(), grids=()),
            Predictor(own=(131072, -65536, 0), constant=0, terms=(), grids=()),
        ),
        first=Predictor(own=(0, 0, 0), constant=198894, terms=(), grids=()),
        rise=0,
        calm=Calm(own=(28942, 10130, 0), constant=18554, moves=(), start=1),
    ),
    ColumnModel(
        predictors=(
            Predictor(own=(65536, 0, 0), constant=0, terms=(), grids=()),
            Predictor(own=(131072, -65536, 0), constant=0, terms=(), grids=()),
        ),
        first=Predictor(own=(0, 0, 0), constant=5362, terms=(), grids=()),
        rise=0,
        calm=Calm(
            own=(8050, 6938, 3171),
            constant=287,
            moves=(
                Move(weight=162, column=8, lag=0, other=1),
                Move(weight=66, column=8, lag=0, other=-1),
            ),
            start=0,
        ),
    ),
)

ODDS = (
    "c-rln3tSZC`p4gy+556A3yU82Y#q(bONN)!oFq_7@rtq-"
    "h^UL87$__XBDyNRKq5kTSucne1P#Pc5smEcIbAeuEy_YOPi>c@XEe1^Ys=Ep>6~{)%$=Ecw;=uh{nw8CSU*1d&dk2="
    "cYe?Fyeok4KM)-NX$dSm^KsK*$D!uaz(K=1ar8zihussiQU+8xO@iP!r1dbObR~>gSgRHU7bE4u5wqq_O(~8Sj%-"
    "9Kg1NS5<|J7&lMMXen@9z)rg%<HW>ijwAh-"
    "&t6mH&9VvS4crW2gD0I3*muV1?$Ha@PmNgP}TC#|Z@kDuOCFPNT8q(T_I?UiRHM~|7-i66Bh<-"
    "w^j%eSOG)i3;hesDfgK1`inwZ}GP$Ya5@=$eb*tm%olMahF6q4?Ka!Oc>tb;kNCEB$03|8~>4-"
    "^uAS6Eatf3%`%%MOSh+1T(W|tk^iSpI<O<<Yw-3rsZU(PMSG)sGL7XQVtWp!27%Ro3%Zub3n-"
    "L`(+7YCmW#S%7_26=|<!io5lm)=u`-2WoOOJo;z)BwslTU?9ADN6Ou<vnONLp&)=}Nc-fNZs7+xDC@e|nOcV_#=nYX"
    "ny!W6Vz=4|hVBe>HIz3fJ;MkoqBrNUQql5fNEhac`RP4NO_rwJINpPUr(o5goV(Hg~z<^q@;+g06m!^yi4={*9ed)-"
    "S7ix-"
    "9hfI7_E(Ue?{`t+7QAs%^iQy&@s1B#4s&Uk?)QSOBCOoK)V(6gpprR>RMnjViR6MAKEw9tM%RPZQ2*StW;xa~A+6Jo"
    "p9C~f<*-<-m^uKDTTCdgPT-JYJhek&gZRv)ic)}`MTKuJ`)c#?#7}T_l6}x6Xn>B7mdxIF%rfp5Ht}aiSG~d*L7J=I"
    "I%He}0xwa^4H&P7h+lQMzSeBEPvno=r5P`aN=ich#(&ah!r2G6$LQuEu-"
    "Ltc>V3BoKUT=*-2<mftt5;X#73SsTCU(}+0#LK-cT^V@WzJo<dFjAlS^%oUQ3aRJ&$3k(<iJ6}LQrW3v^X5lWT|h^;"
    "XrlJsc@EqJ`r!if=a_w2Tk7-"
    "pjL4y5Up#5Nq)|N1vLS}r)H&%czX1Zu)h7`U~55TFAf8dUV#9g`q{rXK?0xM$0MDD03S?5s(}PP_1lrYg8-"
    "lUUq|{k)R?fT|9zzE@X26b>c4j!_12M*kaqIKf%~)=P~+HN&SBNCqPlE!PW3GKoL1WkP`Q&SkWPC7)mNkXK>bBfSKT"
    "}*jDEt;Q|d=|96K^o7uLoa72GO?$3ck?R3E5q1oa5(rbv~<AWxvK;hHJxbQ?icU4jltz&YArGQ=5L4XW4o(cVBccmv"
    "ho1ym=h``GI4QlrH|3qd_czv(c*0=m(F1(hAxXsSQaq!WW0W};z3@v2>)yp*jIg6fRVaaLy+!Ia8fQzvKzpdNy28fN"
    "9&EW;XK$?d5UfVyL4{+YbRNhy=Fp3NI%((yq}GN*h~vT@nm^t`pJAMf0c=7GAQbk_QXc}wOer6*;?KhQUrw}Os!%eN"
    "HdEn2wTmQk7?VHwVwqf95_sc`wcjZ2|5J#}!Gu_lxIie)q`o|C`8p1Wkp+R_m{<J>_#ch~|mpUJnS<u9_?W{>RpFmx"
    "k<hFWOLcy>07O`o2#5)SL(zWfUAiGxt<pnv@F#`oWU^1%*U2mZn>K^=7Vk~ulKPiNaKPp3~vnK@?C#PP9{7S2nHsB9"
    "?9j*gvj!esIY>cS4*n<<~8-aSXHe{X05%t*A|=ig(+x*aQ~=-"
    "h)9yH*~}&CQ2t@#B+inPdONbH1vRg~f{(Em=@Fdxm|@oG0Ww&)g4VoQoF~X2Hanv8l^KgSEV<bL0Bd8PDX+$(c7bcY"
    "W`6hG1Unx7#^6BR6a6g5<POQL*g|I)N>fUfy<zt~#1L))L*%K?|BGHub0OUbXYBis=Il*zKt-"
    "#G5TAdCvT_^qhqB^p4SSorYUz`qwp6PG|zGM>%LGq;a4k3u8a22{XRwVfyeP6AT_;zyzzUrH5dAYRKa{45*FeyHC7a"
    "mYg+hP`J}11od?7v6roDlj7!e?IiB{j~!?_T)cYTjGVy(6e3U^jm?hzxye%s6T*xpQP;n2Q%#92_37o)M?Kk&7J$0{"
    ";O;eB*A*|QE{P9+C|Ce$?b^+U*Ay3I&rh95w=)Pp-BVvvxvs2W>4GKm#)S<v@IigC;`RFSiri)S*3qLwjWi$BreO`v"
    ")#W=27EYU-@H8C7cT@wkT$-"
    "L8Jv%l(BqTeG7NmZ91#NLUFI9(xo1saV`ss8UfkRsihEefo@qT^kr(04#%^j^t{l{8BU6wxS(Tq;Chkew^8P>tmlAn"
    "mRj!qpDjw%J3Ze@)shb--FX{JW88>XJN1bmMAhwA#-"
    "?WtiY{U4R!Yt(EAgQHB%mY0Uk*S58pVpIQesNXzHhXJ(@(laoyAI?%?7}8Q0kQs~%4(BFRZJ}|XX0iK|aBz1M4%8fW"
    "XA@3IHQ_+r$X0N0!`fA&Xfdd}kw(HZDbR!gH3_K!#x-I${BPPAG<gJ-hLao)2Q3EG!3Amh4-"
    "9Hj%ZG_hZ`WCd2i1&LE_P7&L6%QUIc;gC;BTr?Rh&02xbm$TbA<>FH}$!5=PV9dh+6_ucj$)*#(>HKwg5&~Um8V=K|"
    "PKX3ODsbrHUBTLr5X;n+$YCF{tcJcZCBRpaugf`%z3#<)A%*dI?Utgl<R-"
    "suJl6RDSxCloo@^W}CB+Acmi!S_!Iy6PtwZD5x|CDwo{v9H{jzj(UJn$j?=oJaqlT`!)XPoJbJaG@VmLJ6rFleq8?Y"
    "kov>9-3JfZJ%S^O#0M=mXBwaSO}^CsJ95<EmM8r#eb@gL072}j+4FA&%luQ~CY-"
    "mn+XambxD!V?Qa)&o+%~3tz11!V5=gHBb?zJBO%>QK2%bdR0h%-i;%|HyFC0lBJqFfa-SD;3Kk1^2A1p$$fGrc19k0"
    "H5zRV@QW(fG)GCZMA{`p$LX~!W|fsrp7Df97NKycB2A;p8@q2$oMAxk<7re`9O8C*NoV?w&WF|HRs`W@1{z|^tJn7p"
    "A=CnxZO`;jhzE!r#Bmev*Tis1)SkdA@j;E5l0<s~vF_}3hPbP<$Col^AJ#bku=Z?~A6i2UQ_t{G3CPmN}H(R`$<0Gx"
    "2CgO5FbrX+?paxsz&oL;I@9Zy=Hv5-"
    "GUA>712G_70opRPS5?bYPEeZPn#(8#``WA&U5roA!i#R1(<@kYN2fac7~3the`?%5-"
    "8^4RkGH&KOO^iA4xyz^UuS2`yAL;co<lcPdrV@X1%f1CkhrvK;KH@n`>Jca{xVE<XtdP7!P1&&?AjkS(75oZ@Vw3wi"
    "xEH8Y@)S5T8=VCxz8@{z;qn}2p%EW-WrFLJ$w1A*fM|!%%pbnjQ;-|NimmmClWtte&1I)WGlx(<o-"
    "m2JV7lCTDn(JfgnlJy*zTS=p)mR0L3?5W8CGiZf`#{BmdbZ{Dc(l_KsEA|xjpnjCbK5|5YFhllgQLD?vwrQW57c(Xx"
    "$NBcuE!Yb8S_CL#a&W6f%v)&m)A8hVo>|%Ki>KEabJ~J?r@1g4fylFyN&6vtnQKTuQMW0ou`RiI?IQCr3WX7K|NG3="
    "lU1x|7w>Nb=xBXH3Gi$^4Uih@3r^Yy5BAY^`pNY3G7p1C>rwA)C`vp)V&`(dgkMSH)h%<{blD%i~!WGDZOfxX`72am"
    "2FuN!w5h%8tXyCyA7Sj4|ocUh!KLy7=hVn1a@;uXe|y@BXb!HH!_-"
    "dI~G(1lp7i5o&a?a(o0C2vg}Tc3k&Ks^hAd)s~m4U?*Fc?8MGGEXW7@`NM!)xQ~wYo6Hwx_`wFC9U=Kcclr#K5eCn4"
    "Xy#lV_Q@;i2J<!RHP5mmQ3&1bNm-_D=N4<5FWp4@@dhom!18Ot-"
    "%i3H6Y&9=*J6|IKUuw0j0QIX|w^!u}R9}ti1N9d{-GP*iv~-"
    "NkQ|d?6!K$LGwM}iTQ8`e*=BSGFf$9Ubji9C@{eYx@Y@8=hleuQ9eqkFy?NJAef7_>FTy|HptJR=-"
    "eIMfuRF^kUU0y)7qPmZ*?&@O9Mn(v#hAA?-"
    "fQ5;1VL@dF#@JIdqie;WHrW{vT9vwEQDfIyA*j~)^VXW(3<#=NUD!n{0Cg-"
    "#4lQZAW==iZcqBVZ0BWzW1yzBrW1nWWdw4{Uy_OH^#mb=1lCL&A5ms6ea)WGSc%Y80ct3lJU*P2LuXV4JT&;`Yfofb"
    "6(SCEpxf@3xkMgs~%^&mT=&BU}rQUq3<oU*^zH7@=N9}g^6)Oupz4WJ#PbT;7sea&-"
    "6Tlr*O@A{e_#k8Lxx~m1uXmsMuR`EP0t2+*N{s9suxf~+`=!0nJKdLmPs@`&z{ni=Tl_~`exR5`&HROn0w8iu)i<kL"
    "hd#>d(f+mYvPYh8FX`S%uQ~|!jt`Y}9eF-"
    "QW4C(*HF2N!X3FQNch6B%z^PCW*kS9ym9KZ4vHomIt$WZmy!z6&U*v$wvh%Y;k8Iz-bG~|;^uyDVi1vXw??it2*&2V"
    "IXENZVwa<#=qZ=+pHgzf~)@pfCYhB>Tpef1UB_6zfK?*WlF}&9AfVHx0NcFKdH%xeYUQ&juR$xm3alv&=eQ)E@fL9x"
    "hjGLp@BRzz4`M~9}wYHG=Tw+I^27qG{cz?`4r=7Z9y*a3^{77Whjh8<*Gt94RrmVmYS&uR@R>0suMHa?>Qafh+l|rW"
    "fSUZSm@4^IYUI-Wq;xD_l)nY)6>3U^du`H(H>z(_ob|I*S9`7YQ*74$v{?1<FuHS!D?K|%*-"
    "dK5IMZ_KvsF5?jiVEC5HSXEf`+C`hpuQ1uQsKIPXZW_R?fmK)0jRNMiQD$g8!U@W$huz<BLKBe&pgF_yKn5?aqLSb!"
    "zBQ<_ka~0KVPrdlYip7zmEVeKB(JlmcjF8^eW%<@P$VR!0<sG-"
    "5hE?BVRe7`s?o_lRzEcQC+}X7t(d)>*v2*^GeqyMv(fM5scYtt*deEs|0po>Sv0XdQileU9P%#w0OTh^)oH0pW%+yr"
    "2dQSM6laa*H`F1?Zx0yzZQYoKe^BLN2+>}#g~oy%Fy+gR@SKhM0y*Pw82q-"
    "x{007QGH!Mc%E(TyVvL<@il5!#7UU_1#{!+ceQP8rU>rue-"
    "3G`#em9g6*)i`9nMn0W^NG!u3}N0fTRQ8nHe0Y4XitY&kO80Q1>Ej04bO4I8fP{u0VfM>liVp2asL|Rbzl111kI6ho"
    "bqyZusA{F<|!yDg%m*Mk6Bz)yM@I<_`?&8l-"
    "<9Rr_VGTZjksVF3JA?fY<qd6E5mTbe2Gn`%^=`{Xk(g#R0J1szf;=&jLc%tl6t+g5I?bUq>&1L|0$<>1wtx;jP-YB{"
    "&MkLysWA_jFVhuddm=!#-"
    "cAK*T7w@}at1L`Kg);Ezx#uKP@ptug*kQmg3oEI+~Q1B=t235}W!*cnAH~!K}P>r0}Bz#9fWjIi|<bLNs9n9^D1CTo"
    "_$f>Ef<3Rlq)jGNug*9jK;vNh$ww|%J-ci5gT-"
    "C!q>Qbb3+|EAcU^!Q#=N@~QZ_YG6_1k@^|99l5?6*=`ckjD?J@<3-"
    "mmcVUJ_zEDbp5watEEWNV^FX6Q+N)lW!^>xDk#rEt=vmcFZFU-y&vf%s3W`t^(w+kQ0*-"
    "k;4P^4c1=C$EvO>B1SQ@^O1%a3azYRSZb8v4>xEJL;Sp2<Gu#c-"
    "+y90ef9sHW3*tcKUrzw)?EobP^>$Dr1~tH67pPV#w0gag6oE>R6eW=;r0m_`K_&EnAn>4~DbW)o=>zq*fvS{Cs5XL1"
    "d3RKnLW+{gbU2sQ`)ecwMNkSH#es6YpG=~X>ZJr8)PP$odInWPcmWmTsBRIp2vqlRq-"
    "YWJyvKtND*q`KfT~t0Ww%iifJzV)snO~6K`h@AA*g6hDT0uYlu9nefl3fk_7RcGNGz!Av(xfm-"
    "AkZS)Gs+|fLckm8q{A*{VhSS+5Il1eiEDd+5bWt00Jbw)PL_ds-"
    "z_>R|jz!7IVu=^e&QA$jAVhO0Q+#A(P!vP<=J357axA`U90xX<KVlAE-W1|6epy64XNIQJqOrN~+bMdVL?^4OGe-sF"
    "W8_NmRM9l1NZ_Cj^xu^aO<}x0@Ba5LA*tKN3<Umr2E-"
    "N>NCzm+N&}wNwZyDbxO3Qw7QdpekiS@}H+!DF9U&z!u9tuR9-9g+_mSq+UkwK-"
    "C8F)=$D)L6uIUaF6olNU21*)$NeG&pkoP<-"
    "9)D9aKt6N!)`P(v1XylyNKa^L<H345%$NGydtpqp9)JqZw2O=>5^1dInYRbJYJUM^*W`gR1wJ5+0jIf%8!scmC0Wx!"
    "<n8qNPv0MKRA&Nj)$5QW9Qs7r<+BD5=1flu|wFp8ZiMNQRm`g15KLep2bpEBjNw+EFQYw7oehiEf<*6ZsTLh(RUEn-"
    "(S^G2_)5LaIbDErkin{FO?HOe$w5#>@7U5<Nv8yMC3|u3zn~>qniKm#$w+c<K6)eR=8nDFLYbjW&u8DnCf@L6s@w%A"
    "bP@3ExpE2_?~}1Gt4(O9{aWvYCS<B{I2EBO!(6)sj{yijv5XC;s}>PqYLH?r2Tw*Se>E74gfd-"
    "(QLBQ^4rmtWoc7*YB%Qe@8W{nvIfylvb~k{nlnGNa}feN=<rUQ7Q2fqzEsd`jehO^#}e^(hI15atR>@HGrEEwMs%_K"
    "vi(xz57Y98~!Ah!6c+dP;YKq5@JvZPPgpg4-"
    "cx=Ycr*zbforwzw37!=^0dX5QGQZDE8YPET};sNG6dGcu)gDpqedJM4&1;7Ugob^zrDZ{&EkFO5W-"
    "QaG*+1=ZS7e462HIgNpky;0}U%i~p7<;7)-"
    "`+|KTIYr~)P0IF6k;r7PaNu~($p4srHZq775^^?BT|2uP3<=xw!`Y#HZQv3"
)
