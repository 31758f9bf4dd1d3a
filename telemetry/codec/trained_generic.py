"""Data, written by ``benchmarks.train``: the odds of columns of which nothing is known."""

ODDS = (
    "c-muVXfSBN1zyy*J-l=J(D8#8uQMFCfD0d-Zdu=19ni3u6Ge4wQ(1j|L3Tz_kRY<Ke)paQT_q6_w&qgE!b%-"
    "C&Tedqin4c<vp^D-Xnb}5)RLkoYb!AoBw?P~kFRg<o1AHF&W$Y0-tgng%d6Wa$5;t#B8fA%{{Hdl>4kL--ux^`s>AC"
    "3{r>j$@!3Vu5*$c&wp9N6_4~)WD+fAUWK9s_7E*tIzxe$A=FZu_d|%HFW<c?4W<x`EX>mzuNpeYPUSWAyR)Ir&sz+>"
    "O*Xc=3Gp2O4*9Qg6wyk8w9;^%uml<#Y*7@yx84=;n^2F9O$UK1yZ~5@<qMEf3!;@+h)m!`ILXDo^`yl4I0$F(Ozcm}"
    "q%YN}YE&dr<c$ugww>Qfc)px4#PmqMoukI4vFs0Dpdau+ZBw?*RJ9e&|W5MesZiX!U>*{8~wQHXr=9~Jt8A&`gS?pm"
    "zz5b8M)+(EjR2$ZtJC!XxyE$@G!ek^n-"
    "#isKeL6~H^|RSiW49v2UA9)(9+#L{crE!@_BM0Pt0;cm&%nU@u>XbHr!GD1#2CMsa<iG+UK=N^JEwd~=)FSx1MX8ZE"
    "_>+~U=39fFv0;ukN_hihA<x&cGUu`ScUnSv761!h}}vil7#t~u)7<Vcd!eyF=7=)GYArFL;$Rz3IK3=CRP"
)
