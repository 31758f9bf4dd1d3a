"""Data, written by ``benchmarks.train``: the model of the schema battery.1."""

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
            Predictor(own=(65536, 0, 0), constant=0, terms=()),
            Predictor(own=(131072, -65536, 0), constant=0, terms=()),
        ),
        first=Predictor(own=(0, 0, 0), constant=-2661953, terms=()),
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
        first=Predictor(own=(0, 0, 0), constant=1462644, terms=()),
        rise=0,
    ),
)

ODDS = (
    "c-rOEZA?>F7zgmv+ZVu=URnw^h^VX(olexLpsWasQ4z<04Fwbt8zvP;3-"
    "TsJdnSs2fO<i3>3oS1gYykhoK80^ERaw^-"
    "9TM%Q$|6ticC<EMj4xlo^sDsVEdr%37`Hs+}rcJPyPVHUdS}PnvACF`ig4Z<*T6D<3+41oT14|3xFrA%ua`|Pts`AG"
    "12isA~bf}d~R=cLP&_*-"
    "2siAGq2SiUmq4W%g4zBiKSoNxlyw}KFo8by$p#3YyUJh{+O@ybmyb71?=u>YdDp^WTx#nBxi3lbw6mibQJoL9OU%Eb"
    "<a$X?lsr$TP(Fi-nn7TvmR4-"
    "d;R&$*(0aE%zGW4nr?UA|MiTv=M$s$GhlXCC4@1Fs}m9v6bXs3amfo;s=Xtk=7oo5>#6lS3$iz9f&#SiHEgVE-"
    ";)RrCi3sHhFQz#<h#>FVk<g%j%K{=Xc>*%Cppf`QAQ(IM4p4>n@lc`E{U|4F_6!IaBNh8zFIjn@{x>Neq393>;9R-"
    "e3_jYdGr<U#$(#4vVP=~5@SjZ!R2bzQnPP3I;Xzo@a`207s<_HaZbyn^4zdc*CIPK=V#q(tt(CnniAlJ+Vb+c+HdG`"
    "7Eh4#(3q3^xXW0-KV|MjTN#pbGE9#<{;1fabY`REoP?f7w+)wc>gha`oVW8y-"
    "?YK4uu+DP1OKN_TH5q^KC_p4(8yOos7{MZN>wS7)e2Qgz-pDx=L^RA+gooP5IKjD{6-"
    "z{z!b}GKLA{@d}|U}Vv0r7E_y4A1tgkG5AXeST1sNJ+!ex#Y8YQp7N5LoLqXPBRT@bSV#@(@mj@BJE;q?!IP%7KtIM"
    "4~?K%{}W+;|w2pwy8u-"
    "QZDavcD(0Mo!dn}pFJi&|st4?{=8i}++m`(;;8F)*Z=oi59B3Z8Q7_YQmCVl>|M>~P7&kzM}!;hkuFz|Mv5$2sZJ?h"
    ";`@V)usc?Me#byszduP)Pj#xzlG3e&b<1fB1AX?rAt7I&$PzrEq&^I+BMg?3)5KZr%BwvQp&qWR3gBNkz3MLQ9wBBk"
    "#Q1Vx!lGNe;DYw}+R#%x9IQ$g8E>;;tyFVote_YcRWOIRMs8TW-5P$euVpa*6-fPFi+`@x$du>)xvo-ya=ulV7v*m-"
    "!#4v8sLK`wdLw#beg3r0C>q;fkU(I(f(3Wm}I@H1eh$PEl?YjXWfy3y^OzxrCCII#3Mc8UTDJ06)j}p^;lMZaFV~a*"
    "wLkCW;C+Bj+@K8C&_0i0Vgf>3?Cn4oE8t1I@l+(T<08m2<2l>-1)Es-ng_HS!Cmc?W{gJYE&(9(uMa+3S2MYJ03VMK"
    "C_GN_xJ?h{ol`+dP-L9Nd!A(Mch>?FAo8Urq2-"
    "#m%2la<BT9vuzhe!FMB!D0!Oy#=Z#zN)SsS<U0P6%})yb%B?}5fky5Ez}{<aP2Ak(U77MJp~89LPmQMnGLMZ>4v0L1"
    "k=)b`4VYr7S^#myGRj#8FvU_FQv6mHi*8?PbUH6V(Mn>rycvLLj-"
    "X>&@T6Ao2+X;@>?BDJV#{@m<Rg52aa}%{qHyG~?^c(WjF>&@P98(CIQIQpg*Y#7C|xf3=Z|3|$go(nSU3!S+J=jbNj"
    "Co3d=~zd#Gqm!f&bl1*TKg;7B=qppyzA@7)El|tH=pF`7k`Wn81@0baERT0q>0`CtgJ^;IX(vB!B&ubLd+x<`eiWx3"
    "OTea1SB5*jU2j;K{A<wnC;aF&J_oN=`l>p#_H^a9b{5vj)25q=m)5Cua?+SOl12;c~fecd_s=d}QCfSR5-"
    "ZM?wlD0_(p|@&4N_??+A$ICA3u*5%xxb@^ZG;iRn"
)
