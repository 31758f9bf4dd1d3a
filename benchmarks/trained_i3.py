"""Data, written by ``benchmarks.train``: the model of the schema bench.i3."""

from telemetry.codec.models import ColumnModel, Predictor, Term

COLUMNS = (
    ColumnModel(
        predictors=(
            Predictor(own=(65536, 0, 0), constant=0, terms=()),
            Predictor(own=(131072, -65536, 0), constant=0, terms=()),
        ),
        first=Predictor(own=(0, 0, 0), constant=0, terms=()),
        rise=1000,
    ),
    ColumnModel(
        predictors=(
            Predictor(
                own=(69231, -4256, 0),
                constant=435678,
                terms=(
                    Term(weight=4969, column=2, lag=0, times=None, shift=0),
                    Term(weight=-4785, column=2, lag=1, times=None, shift=0),
                    Term(weight=8, column=2, lag=2, times=None, shift=0),
                    Term(weight=-16, column=2, lag=-1, times=None, shift=0),
                ),
            ),
            Predictor(own=(65536, 0, 0), constant=0, terms=()),
            Predictor(own=(131072, -65536, 0), constant=0, terms=()),
        ),
        first=Predictor(
            own=(0, 0, 0),
            constant=45722630,
            terms=(
                Term(weight=6067, column=2, lag=0, times=None, shift=0),
                Term(weight=6310, column=3, lag=0, times=None, shift=0),
            ),
        ),
        rise=0,
    ),
    ColumnModel(
        predictors=(
            Predictor(
                own=(55370, 527, 0),
                constant=-63448,
                terms=(
                    Term(weight=-13680, column=7, lag=0, times=6, shift=10),
                    Term(weight=11872, column=7, lag=1, times=6, shift=10),
                    Term(weight=-455, column=7, lag=-1, times=6, shift=10),
                    Term(weight=593, column=7, lag=0, times=None, shift=0),
                    Term(weight=1, column=6, lag=0, times=None, shift=0),
                    Term(weight=-983, column=7, lag=0, times=7, shift=6),
                    Term(weight=829, column=7, lag=1, times=7, shift=6),
                    Term(weight=-7360, column=10, lag=0, times=None, shift=0),
                    Term(weight=6047, column=10, lag=1, times=None, shift=0),
                    Term(weight=-8918, column=11, lag=0, times=None, shift=0),
                    Term(weight=2660, column=11, lag=1, times=None, shift=0),
                ),
            ),
            Predictor(own=(65536, 0, 0), constant=0, terms=()),
            Predictor(own=(131072, -65536, 0), constant=0, terms=()),
        ),
        first=Predictor(
            own=(0, 0, 0),
            constant=-477551,
            terms=(
                Term(weight=-14760, column=7, lag=0, times=6, shift=10),
                Term(weight=-9131, column=10, lag=0, times=None, shift=0),
                Term(weight=-44126, column=11, lag=0, times=None, shift=0),
            ),
        ),
        rise=0,
    ),
    ColumnModel(
        predictors=(
            Predictor(own=(65536, 0, 0), constant=0, terms=()),
            Predictor(own=(131072, -65536, 0), constant=0, terms=()),
        ),
        first=Predictor(own=(0, 0, 0), constant=48117722, terms=()),
        rise=0,
    ),
    ColumnModel(
        predictors=(
            Predictor(own=(65536, 0, 0), constant=0, terms=()),
            Predictor(own=(131072, -65536, 0), constant=0, terms=()),
        ),
        first=Predictor(
            own=(0, 0, 0),
            constant=-304874,
            terms=(Term(weight=15579, column=3, lag=0, times=None, shift=0),),
        ),
        rise=0,
    ),
    ColumnModel(
        predictors=(
            Predictor(own=(65536, 0, 0), constant=0, terms=()),
            Predictor(own=(131072, -65536, 0), constant=0, terms=()),
        ),
        first=Predictor(own=(0, 0, 0), constant=4084084, terms=()),
        rise=0,
    ),
    ColumnModel(
        predictors=(
            Predictor(
                own=(100203, -19631, -15154),
                constant=-492715,
                terms=(
                    Term(weight=124346, column=7, lag=0, times=None, shift=0),
                    Term(weight=46516, column=7, lag=1, times=None, shift=0),
                    Term(weight=-114373, column=7, lag=2, times=None, shift=0),
                    Term(weight=-14527, column=7, lag=-1, times=None, shift=0),
                ),
            ),
            Predictor(own=(65536, 0, 0), constant=0, terms=()),
            Predictor(own=(131072, -65536, 0), constant=0, terms=()),
        ),
        first=Predictor(own=(0, 0, 0), constant=321389137, terms=()),
        rise=0,
    ),
    ColumnModel(
        predictors=(
            Predictor(own=(65536, 0, 0), constant=0, terms=()),
            Predictor(own=(131072, -65536, 0), constant=0, terms=()),
        ),
        first=Predictor(own=(0, 0, 0), constant=1149859, terms=()),
        rise=0,
    ),
    ColumnModel(
        predictors=(
            Predictor(
                own=(44959, 9662, 0),
                constant=414053,
                terms=(
                    Term(weight=12090, column=7, lag=0, times=None, shift=0),
                    Term(weight=-11026, column=7, lag=1, times=None, shift=0),
                    Term(weight=4434, column=7, lag=-1, times=None, shift=0),
                    Term(weight=-2562, column=6, lag=0, times=None, shift=0),
                    Term(weight=1342, column=6, lag=1, times=None, shift=0),
                    Term(weight=1255, column=6, lag=-1, times=None, shift=0),
                ),
            ),
            Predictor(own=(65536, 0, 0), constant=0, terms=()),
            Predictor(own=(131072, -65536, 0), constant=0, terms=()),
        ),
        first=Predictor(
            own=(0, 0, 0),
            constant=2968708,
            terms=(
                Term(weight=24731, column=7, lag=0, times=None, shift=0),
                Term(weight=165, column=6, lag=0, times=None, shift=0),
            ),
        ),
        rise=0,
    ),
    ColumnModel(
        predictors=(
            Predictor(own=(65536, 0, 0), constant=0, terms=()),
            Predictor(own=(131072, -65536, 0), constant=0, terms=()),
        ),
        first=Predictor(
            own=(0, 0, 0),
            constant=-4269052,
            terms=(Term(weight=199959, column=5, lag=0, times=None, shift=0),),
        ),
        rise=0,
    ),
    ColumnModel(
        predictors=(
            Predictor(own=(65536, 0, 0), constant=0, terms=()),
            Predictor(own=(131072, -65536, 0), constant=0, terms=()),
        ),
        first=Predictor(own=(0, 0, 0), constant=605910, terms=()),
        rise=0,
    ),
    ColumnModel(
        predictors=(
            Predictor(own=(65536, 0, 0), constant=0, terms=()),
            Predictor(own=(131072, -65536, 0), constant=0, terms=()),
        ),
        first=Predictor(own=(0, 0, 0), constant=317552, terms=()),
        rise=0,
    ),
    ColumnModel(
        predictors=(
            Predictor(own=(65536, 0, 0), constant=0, terms=()),
            Predictor(own=(131072, -65536, 0), constant=0, terms=()),
        ),
        first=Predictor(own=(0, 0, 0), constant=5362, terms=()),
        rise=0,
    ),
)

ODDS = (
    "c-rOIe_TxI9tZH}%$ccarkR?4+A*;-EbF#qMJEyM(kjeK22qn=Eh(c?AzPhAqWqi+-"
    "9%lh%?+t!ZJV`{ZPm6btzR33JrOoyZ1pPXo|f0{IcJ_@tJQtk_IcGm-=5c;&bv>a^UMGoZ^zkId-"
    "R5z*UE}YPFGw8CD`xd)4Lp_H?5h5=NZs;`>YL*jt&Y~5;9#v9oxnirp1NMo;}t<N*xc}c%?jN?VLH|T>4>@ai34_)s"
    "%i3GRJAOg`6@rjC^#z>Z=5QCkG*QtdBQ8xqI<=g7;|Cp_Dlq)7t#F_WTiivJscEduG(L*2emu%l|XC51(?)^{bz?v^"
    "GEZ@#~EftnB}ow@cev>$DHAev#5L^?r&cpxvuKjt7LT2n`Ee7#gMyUO97V(0E_JNj_e2Wtz3S6XRl|r%y{6yBdY6lC"
    "OkfY~;sd1!7E>eD6AmsYI82OVltkIi^GYUPOrV08EE`(Sib8`Z|-"
    "lEIl&UO3p&=h~svP@ca^0_sI2Y*~r)Wr_7S7Fedr?AFp#8Xrx2_Zonpm^(YaOd|>3!0DEI0lUy2eHf5%@F~%U5tgp<"
    "9A3s9MAU6rADa=eAi!sQhs#<cXu$~|nt1stxdn)8m@`X4)Bf#HLHN}2j;E?55SIK#-"
    "#ZvP<z#zqPy#T<9<xsP+1X3*WD*4~CSU~vG7HvaOzElDspNQi{B{-"
    "g*zC0X{!Q&#sA|#S7kONlorYZpI@|F~R82N+V)#ZkJkA=Ny&QdHNb*N7?H}7Vbvy-=ba-rlH1|u)&UF6n^#zVeb7V;"
    "t-"
    "mzCjMZa2xLO>E>TJIY&{>uy{+7C+90LY`r2T2&?2A^&ds<Hr{c;5bGnm&|(fZQh;)Hx))BH}q?~UA}YP7!PwAx&GqD"
    "UoNDoCfH+gsx5Ct^Wz&QVih(hjhqwK`s;(s2O=j}PmogPoHeb@+S>Ajg?3yjIVZZUrKyfM9qICpigHcs6-"
    "{l8ckf*PYVrYh%3XrA_V%ak<abL$<-z4*`Wa(Ajz@$>1qZDP3SI5HJa9%pxbvL((-Z-"
    "77l*A^@BSbz<U{lA7{*F2VNLmA|6lIiDlJU&oFJv9eBddMl5Y#Q6x}nY?S9{F{l2oq)J@xQstVpW;KGRusbNbeNNMC"
    "|@zpm<6Z|5V+R3SRV;tRZtFj<!nX3hj+yHO9f2(+Bu(Oah=C5mhbo)Z?)-inzs43^IZEAe@(-"
    "%9(8=F(fC7RZzrpnWMLSz^<<?^Z*3opT_U9M?qsINYeylAvkH|0xle8rlG@Q7&Dny`<St(v#c&uXfpm1{bNbt>g9=B"
    "$TApBrU4sk=Od^kT6cyE8Y?P0CF9n@f_DSJ};WFDaoV;tjtmnGtR>XF0uCOqbOhk9B*?5M!KJBI?RBR1SlM^kT7CeD"
    "_x2S_g9+qosW0q^6pZy>1dlv80#0SQxEXO1e}mJl}@;LqTd81}m0u@@O8W_Flfs**nNJ*xOiv$*cS@?5}rua|rbDSs"
    "jYNy8Kfd?M+=y7R%Ga!}Z`@PHyu!Xm5?D>iN9d$7kIpvpo|fI^^eKBnl&4@~otRc2ZsP#hW*WE^)`0<jYfze0IQGhu"
    "mJWQ$?opH6Rz{-"
    "pM{ZlZ8A4$K5?wO0CS3at3sRT);}+sEB{i<cTuLb2bZ$@;hMY<U58AbxX%FCV9@k3es_foJpQk^{k<ZhcU^&y4=>*m"
    "V+|MRb<hU7i5xG^&t7EJEyB;cx}2IMm`S5MHRJAt7afb7>2D($EsdY%71l*7EAdR=v$$ylexXASnde~J@Xk$JpiVFZ"
    "Q=W3#Y<+-"
    "x~;Z2gv*HE$Hy8TR19`90mK^G?)<I&l<(fDZm@96q>fXc9Xk4h)e}XTrItF*FdrnG%sn>f!609PGIqFFV16_)c>Lup"
    "QVnJNcHxOH4(`E3?v|sd<CcqglEa7ZoDnB!*HPv^3oUL=i?(e}aFXXzb`OtscrW}wd7fA9yadWMf2lPtE1P4Mbvq@="
    "C;yMRY5uCQC4F`TUt0K0z;TD67isr;3INf~ZFPem$GtObzPBQ|UkbY6{)h!fzPBzldHAO94Poi-N_U$es47W5hF~LC"
    "%)A;(=#sl${oEx}mpm#jSFIs*$m^1$N7@oP<TiJ0f%bJK-"
    "|Ic^ah!&Qd_%__0Hw^Md*oFjHu7Z^R#BTg2qw9GV4~dzMmpq+9-"
    "fr@1r1=53(Rt#e&4vCNj^JiU{L%|!32Xm{MvU7PfCB#GRUP1rau9eWdws<>meeS2hkJc=k7FcN-fT6pyVz9e9WEifb"
    "m9c00p~<u99zNEfyl?Faar+ldd?dSbk2-&4d(-"
    "My>f<7E66m@e&*3e#N$#5b_EDM#=!l&aN&1HQ?&>!}~HbyFgygN<Lh@9@gbvm4Ptw*}bdFBgW|!s+26na;HPRLaFR#"
    "m$Q>wT13If7Z3!DT-LkDleXWpUO1J7JPLrR=3wg7Zj#TM&PI+MDLolrSE2Q))o3Z?v$R^ZTBAe0!M~<PltI=Jojg++"
    "Vx_k6JL5sn$bIeND+6*D_@yan<bx(H*j4UWHp`#TP;L8IrU<pUqMLp}H1a2JZ`%_8Wz$gqQ$S0Z`+qdy(rQbu{)6SY"
    "RPw;6Z7UtFI~%J~rg%`U$ywpBtbNDPgN{QovM6_1?`3LQERjeG=N$aO`B5nSj4=X$;=KJo7x{%5O>Vb3bFOY;r27bW"
    "!Q5{ayfx*R;$6>%WTihru#&&Qn(`~7#%J}j9nrTHXsIcW7?Lf!3yeo*DQUY~TN5+FYP?<j0aXR$RQpU3-"
    "D=(dv^4T$lkq15&aJz)0cfaqV<{TGdMqMUxJhZ`u@@&Fzuq*`uQ-"
    "r4&VTBDbu0g^0gD~iP*d()oTzuC^2^Wfr7Ef9vIN(2+ul}a>;OScxkmkB0U1H<@{dCwX|At--"
    "{!nlH{~$^+@0w5WA%yizKwf7;m*ugUW+Umc{H0KI+gOhN;dLUp*|5##r0nM8O2g&QdWCL%S`$7wj=BIIfE>jjFt#{`"
    "wKHpm(9=B(2GUv`NmIMQn!W>^kT6bSJ?Md<-"
    "xf9^kR_}@4L70lbuRH&{FOaQIRK;Y|La7OSbIAB51`T>r%07HhQG#Gr|!NuwuCkK-"
    "!OK@qr=VdRWS5rv;xSH0t{V@z=XNpSKUz<^3*2!n*u3(7!izIaw^lE8XtHyPVt><1SGF%lk`S?c=k(zOPM1rVe@XWx"
    "caTy5u3T;@etX@~|yizL}CmFv+Vc=h<c`b;$EGO+3hSz6RvOW}5uF&1?;v{3ZZdt+ze+$^<9dZjcXSCI5Qm=sv^iFe"
    "dqo56wm@J7DPKQ!wmIHXxYfPPc5c!C4KHyji_F)<i`x$^RR3{``5T{!DTYvS`T*GRf6FNG@5M(&7a~*%}!6K>$X_iu"
    "mf_$jD&?p~xoGuPEi=V{llp?790XtXM3E<o2dwnY3a>&wR#W_S+ZBGNUX6(HV;c@ZH8d=-"
    "3E_zqSy8Uy{?Mv6ut@z1eODKGs8^W5x?TXY0gbB}ZOHj=;%zaB>3#N-"
    "jWj$VGg<9{Spob6!Ty=OSn~$<ddl97Uih*JDY!K0M`omXsq<a$}TXYieR*Y{=&!j4}FrAw8FJea@ey+>o!2bea5R#e"
    "#IHSa^_P;cz&A?_%LW`1k<u5Uw7Inu!Ev0%6B4-m4;qcDYCdBj@$PF6X|ySh(Ho@-CAj2#g&0r#(Ko-"
    "G6)vJ3+2bFP7ihf>|v3<kI7E5E!|s5JjNmA}*X<!08gXA=(vk6BJ6W$3<Alkxrgigl1wR@)%)eOp5)LlpCUqE;ltYG"
    "~jW$u-zhkE(i7^hA2Gch8%dxS;$$&0(i=~P;x_rD#-bLAqXtxVzkqTL=-_fmvXZ|Bj-aNpF$LVVlgC>f<RuxfCDcU1"
    "YRtBc$_&1WNgA?6bpIhFBa|IknR+VA=0UHIYR#1BS_D6`9J8bkQmN~bo`t=sPM(&SO54l<w42ypyU!1PA=dgI^-"
    "gefgV?fT#v^?k>_!FEy#^t^7tfw#+B#`{x2sM@)XMLfYBirqU3)*gk0S5jsli)q?0K}JBn8KFTv?)a`NQOVI@bOzd0"
    "p;EfnGOIQc)JSPTq$<};T60rjh-p#"
)
