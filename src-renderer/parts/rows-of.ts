import { useEffect, useState } from "react";
import { type FailureBody, failureBody } from "../../src-protocol/failure.ts";

export interface Rows<Row> {
  /** Null until the first answer. */
  readonly rows: readonly Row[] | null;
  readonly failure: FailureBody | null;
}

/** Asks again when `version` changes, but not more often than every `everyMs`. */
export function useRows<Row>(
  ask: () => Promise<readonly Row[]>,
  version: unknown,
  everyMs: number,
): Rows<Row> {
  const [answer, setAnswer] = useState<Rows<Row> & { at: number }>({ rows: null, failure: null, at: 0 });
  useEffect(() => {
    let wanted = true;
    const wait = Math.max(0, answer.at + everyMs - Date.now());
    const timer = setTimeout(() => {
      ask().then(
        (rows) => wanted && setAnswer({ rows, failure: null, at: Date.now() }),
        (error: unknown) =>
          wanted && setAnswer((old) => ({ rows: old.rows, failure: failureBody(error), at: Date.now() })),
      );
    }, wait);
    return () => {
      wanted = false;
      clearTimeout(timer);
    };
    // Only a new version asks again; `ask` and the time of the last answer do not.
    // oxlint-disable-next-line react/exhaustive-deps
  }, [version, everyMs]);
  return answer;
}
