"""Data, written by ``benchmarks.train``: the model of the schema battery.1."""

from telemetry.codec.models import Calm, ColumnModel, Move, Predictor, Term

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
            Predictor(own=(65536, 0, 0), constant=0, terms=(), grids=()),
            Predictor(own=(131072, -65536, 0), constant=0, terms=(), grids=()),
        ),
        first=Predictor(own=(0, 0, 0), constant=-1339208, terms=(), grids=()),
        rise=0,
        calm=Calm(own=(34732, 15975, 12754), constant=382068, moves=(), start=31),
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
        first=Predictor(own=(0, 0, 0), constant=1601226, terms=(), grids=()),
        rise=0,
        calm=Calm(own=(2626, 0, 0), constant=223, moves=(), start=0),
    ),
)

ODDS = (
    "c-"
    "rlke^gWF8ONX81d=BFk|wp~AcL7XkwbBy73&nWSZs%glmJHLM?gskgkJ$PSa?Bx85A{#p^S!>Qj|>&*mY=e=hWI`TP"
    "+(EJj^;;om-?Uo>f<>6Wbm4-m6aT&6_)A?i|lf-orQdk8hs$ee&d!=Y0T#ZX>(^s{++t`h4Jnk53GpgO9_}qgeB?T2"
    "Nqmk#<r0sFGu@#cD<`?%Iu1WnD6k`6^a9TCF#xY0YYGWFJ;NDmPUZXbgoKAGUcKYdbn%E+{RGEzRSYd$4w)*Q^bOB+"
    "c9zoNc#bnNde?)7Aua(tM@8S%)_4>8es^J}c*xrx2?a#l87nb#h#EMgZG2U{#_t)edV;{DNhEY;y}%71Cw4_n0=WSg"
    "Z)QJ98V-XQr3eZ;A*Nvd?T}s-!b)Zf-Y(zu?VIH<x+cl$)Je*tmAttZ<gQn@I>27H@9+MfL(W1uOD3=5ywh7V9=-"
    "8zaT+8o4l-xOw{pF3@*qW_tzS&zB~ME;itG^?ZNptu<F#UjbIM4k3MUk+ImAVJtQjlqO{7FHhaHdgFTYfTe1Glew-U"
    "F1B^)Rw0ojyb~3U66HQIlb;31fCOsV4@2T_pO1ABC<*b&D<g8QpNw#$Bm~p=QbNhMy{|m!MiD@*Fd23Ywxx#s2ne9I"
    "@2%<l^)Btp5nk^0pdLBdcI04<cE$RILVHku*|+6vdrW$1L)sFB9jK$@>ds@UUeLb2uv0+>b<~VTm1IzH{&h;EaDqw("
    "6)~L!A#Je45vVH=3XOk0Cs;Q<P-oH4na+;-A37@i=3xY~i*4bfN-n4e7*PF}9yIGp_pVa1-Ad-"
    "noTTzb^#)(WG52BBAbmz-TTVg%;()q`p{h7{Q?V&FXdYr`bPQ`RYA7=9u1*i#C}x|zSUb_S{A^v8e$jGYCCe>hFi$V"
    "2HdPp7loACYq4H8gS$tBOpDVjYJF&{}hbhfUGL(cUlv6<MV}4XPKC$Vy){f-"
    "oQ^M^))gzQ&mS1AZ*OlaD7Ho+v%3YbTW^T+=?r%R3s3Q95jddIW8Pw;nevg36Vm#J}BQqWAAObR|O;|S(kU>3<=%GZ"
    "aAcFb@)<4lIsq^Z8ygDk~UGk8Ac;x60WQ2|yM!T28t*CX+8!v8sTf41ICVPmE3il?A7(_WcsuR>{f=ZV?AIl2M99{j"
    "*%#12LH=P;v1V98m{?aq>>rm&RO-dXyJk^bSZSW{o3sw~jt$8zgX0O4*F$GxfgRJ}`I4y+^j(HaAAPl%4Ro^<V=0*y"
    "!7DMy3{eK_z(0nz)HtVrcz`Fhk|7)km_D$HI84O>hM5X?uYOIU1?OLpMc<G3*aNS@xa1Q+rOAY2oDl#m%Vm7Bd>#^3"
    "sjZ;C1xgNerA#C?L)~BHKpA%gfnU<W&Hs8S-2dn4R8#RZ_-"
    "72=J#X1F1u<~YiWx8#cedcPcub?G%L=x0(%L`_wYi0^jHP|w-IcrQ8XJfflSl0lCCuE9Kzq-"
    "_*Vnx1+<qGF&q|!l6b6y#{M!`(s=Vi=|d-"
    "}#amym&p`}ty$ppSmywYT6886WA7ED9W9MIQ%nzqI?WbG|V@8<d_L)8f}Eti2MZ=^32;iT73i)IZ5S*?;!s;Cv!Uc>"
    "A|(Ff#1A@KlOA2a!OX9Lfq!?%BCnZz04RLcjky<elVM1w8~aq1$p{>`>r$GZG1)9!>WD<L?Y-"
    "mbUa0KrMl&B&+ROLc=!!_MmzWjBi(D1y1(&58H#<rRp^Gepq|BzII$?2dd$a`asB#TeK<kfQk&Np&bksGN?FzoQTQ^"
    "Dj8IIoy6Kw^fO1G{u!X7<P1!FJv~q*_xgpiqw;msD_HJ;X2qFo1`8L|Y^>X`vBjEVJRCh_v2hy-"
    "ybG18XJTeZ)&R%+4YT#PNqvdO|I!B>P@}Ovhwn4Qmhlrl5>7^!u`a-s#v6SXkKGE-VVfqbRnXL#=rj1fr8UIDayzlS"
    "KoJ!-"
    "S@evnUysTzp^FgtR=v#jb5+FCU3L|E4<?~6^n;+KmsOT2pwhc6pySIgYS43UoLOhH1GO5UKX&X3cS(ola<cp4#OBP;"
    "w(g6q?+sY;K%myr&mUuH0Fgoc5-"
    "SSo$SgKsEoVjt!lFx(20O^0dSO`skwK*xs;;YuphnVt73LH<ul~oYqXuB@gAIZU6Yq8qI_jsi>u#F~Kh-rH-"
    "m%1(d$XhCAv!8OT)^M3K7{$sj_L$;nxNjqx<%jbxBubj>i1@5REf`YW>h)zcjrY8@_#RZ;E{lOe_Kx>ML9I(ayN-"
    "%Q|8JS=`9gDHa*2Wrrd>RTe%y>W6lupm~yFr$CUAzUVNsU?@T$xXG$p^Q^XhP!e`3G0*(b!OuLljT$j8Yf+`?{PXX0"
    "IDLAH#&m@7$K92+Hlv3D(%8ulKdiM*b4UrwFl*rXpBJq;S<*p(!sFWNiiVP~wUrvccPEh|lP(9qlF4F|n*-"
    ";;+qk4NuDT)tN4++JCn~2Ypi1<Ji@v-R63o69}s*Dd*FJ4foDWHn(+EULuRS*guw4-{8#g7QoyCyG-"
    "|07UEe4swzy!s!Xj(QJNvB#a?93f@=-?LaGlu9UXu}uCXO{YZS?5Ivq|F34$e*ypBGv)"
)
