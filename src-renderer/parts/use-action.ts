import { useState } from "react";
import { type FailureBody, failureBody } from "../../src-protocol/failure.ts";

export interface Action {
  /** What is being done now, by the name that was given; null: nothing. */
  readonly busy: string | null;
  /** Why the last one was refused, in the daemon's words. */
  readonly failure: FailureBody | null;
  /** One at a time. Resolves to whether it was done. */
  run(name: string, work: () => Promise<unknown>): Promise<boolean>;
}

/** A button's work: one at a time, and a refusal is kept to be shown. */
export function useAction(): Action {
  const [busy, setBusy] = useState<string | null>(null);
  const [failure, setFailure] = useState<FailureBody | null>(null);
  return {
    busy,
    failure,
    async run(name, work) {
      if (busy !== null) return false;
      setBusy(name);
      setFailure(null);
      try {
        await work();
        return true;
      } catch (error) {
        setFailure(failureBody(error));
        return false;
      } finally {
        setBusy(null);
      }
    },
  };
}
