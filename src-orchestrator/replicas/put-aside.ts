import { MOST_PUT_ASIDE } from "../../src-protocol/operator.ts";
import type { PutAside } from "../../src-protocol/operator.ts";

/** SECURITY: whoever is put aside for ever new reasons does not push out the others. */
const MOST_OF_ONE = 5;

/** Who was put aside and why, the newest first. The same again is counted. */
export function withPutAside(
  known: readonly PutAside[],
  news: Omit<PutAside, "times">,
): readonly [PutAside, ...PutAside[]] {
  const isSame = ({ hotkey, code }: PutAside): boolean => hotkey === news.hotkey && code === news.code;
  const times = (known.find(isSame)?.times ?? 0) + 1;
  let own = 1;
  const kept = known.filter((each) => !isSame(each) && (each.hotkey !== news.hotkey || own++ < MOST_OF_ONE));
  return [{ ...news, times }, ...kept.slice(0, MOST_PUT_ASIDE - 1)];
}

/** For the log; a code may come from the computer itself. */
export function putAsideLine({ hotkey, sessionKey, stage, step, code, times }: PutAside): string {
  const often = times > 1 ? `, ${times} times now` : "";
  return `put aside: ${hotkey} (computer ${sessionKey.slice(0, 8)}), slice ${stage + 1}, step ${step + 1}: ${code}${often}`;
}
