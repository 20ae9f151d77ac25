"""Who issues passports: the three letters at places 3 to 5 of a passport's first machine-readable line. Pure.

ISO 3166-1 alpha-3 (249 codes), and what ICAO Doc 9303 part 3, section 5, adds: kinds of British nationality, organisations, people
without a state. Germany writes D alone. The specimen's UTO is nobody's.
"""

from __future__ import annotations

_ISO_3166 = (
    "ABW AFG AGO AIA ALA ALB AND ARE ARG ARM ASM ATA ATF ATG AUS AUT AZE BDI BEL BEN BES BFA BGD BGR BHR BHS BIH BLM BLR BLZ BMU BOL "
    "BRA BRB BRN BTN BVT BWA CAF CAN CCK CHE CHL CHN CIV CMR COD COG COK COL COM CPV CRI CUB CUW CXR CYM CYP CZE DEU DJI DMA DNK DOM "
    "DZA ECU EGY ERI ESH ESP EST ETH FIN FJI FLK FRA FRO FSM GAB GBR GEO GGY GHA GIB GIN GLP GMB GNB GNQ GRC GRD GRL GTM GUF GUM GUY "
    "HKG HMD HND HRV HTI HUN IDN IMN IND IOT IRL IRN IRQ ISL ISR ITA JAM JEY JOR JPN KAZ KEN KGZ KHM KIR KNA KOR KWT LAO LBN LBR LBY "
    "LCA LIE LKA LSO LTU LUX LVA MAC MAF MAR MCO MDA MDG MDV MEX MHL MKD MLI MLT MMR MNE MNG MNP MOZ MRT MSR MTQ MUS MWI MYS MYT NAM "
    "NCL NER NFK NGA NIC NIU NLD NOR NPL NRU NZL OMN PAK PAN PCN PER PHL PLW PNG POL PRI PRK PRT PRY PSE PYF QAT REU ROU RUS RWA SAU "
    "SDN SEN SGP SGS SHN SJM SLB SLE SLV SMR SOM SPM SRB SSD STP SUR SVK SVN SWE SWZ SXM SYC SYR TCA TCD TGO THA TJK TKL TKM TLS TON "
    "TTO TUN TUR TUV TWN TZA UGA UKR UMI URY USA UZB VAT VCT VEN VGB VIR VNM VUT WLF WSM YEM ZAF ZMB ZWE"
)
_BRITISH = "GBD GBN GBO GBP GBS"
_ORGANISATIONS = "EUE UNO UNA UNK RKS XBA XCC XCE XCO XDC XEC XES XIM XMP XOM XPO"
_NO_STATE = "XXA XXB XXC XXX"
STATES = frozenset(" ".join((_ISO_3166, _BRITISH, _ORGANISATIONS, _NO_STATE)).split())


def plain_state(typed: str) -> str:
    """The code as one text: capital letters, fillers away, Germany's one letter as ISO has it."""
    letters = typed.upper().replace("<", "")
    return "DEU" if letters == "D" else letters
