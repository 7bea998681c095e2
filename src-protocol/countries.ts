import { z } from "zod";

/** ISO 3166-1: every code that is given to a country or a territory, and no other. */
export const COUNTRIES: readonly string[] = [
  "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW",
  "BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI",
  "FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN",
  "IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME",
  "MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF",
  "PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV",
  "SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE",
  "YT ZA ZM ZW",
].flatMap((line) => line.split(" "));

/** SECURITY: it comes to strangers' pages from outside, so it is one of the list and nothing else. */
export const country = z.enum(COUNTRIES, "a country's two letters (ISO 3166-1), like DE");
export type Country = z.infer<typeof country>;

/** Computers by the country that their owners have named; the others are not in it. */
export const countryCount = z.strictObject({ country, nodes: z.int().positive().max(1_000_000) });
export type CountryCount = z.infer<typeof countryCount>;

/** In the language of the reader. */
export function countryName(code: Country, locale: string): string {
  return new Intl.DisplayNames(locale, { type: "region" }).of(code) ?? code;
}
