import { parametersSha256 } from "../../src-protocol/parameters-digest.ts";
import type { ReadRecord } from "../../src-protocol/run-record.ts";
import type { VerifyOutcome, VerifyRequest } from "../../src-protocol/verify.ts";
import type { OfflineRun, RepeatedStep } from "./offline-run.ts";

type Range = Pick<VerifyRequest, "from" | "to" | "stage">;
type Compared = NonNullable<VerifyOutcome["differs"]>["stages"][number];
type Repeated = RepeatedStep & { readonly isCompared: boolean };

/**
 * Does a recorded run again from where `run` stands, to the end of the range or to the first step
 * whose links are others. Links that the record does not have are passed over.
 */
export async function verify(
  run: Pick<OfflineRun, "step" | "startLinks" | "next" | "weights">,
  record: Pick<ReadRecord, "links">,
  { from, to, stage }: Range,
  onStep: (step: Repeated) => void,
): Promise<VerifyOutcome> {
  const startStep = run.step;
  let same = 0;
  // A checkpoint of another history is no place to begin.
  const astray = pairs(startStep, run.startLinks()).filter(isOther);
  if (astray.length > 0) return outcome({ step: startStep, stages: astray });
  while (run.step < to) {
    const repeated = await run.next();
    const isCompared = repeated.step >= from;
    onStep({ ...repeated, isCompared });
    if (!isCompared) continue;
    const compared = pairs(repeated.step, repeated.links);
    const others = compared.filter(isOther);
    same += compared.length - others.length;
    if (others.length > 0) return outcome({ step: repeated.step, stages: others });
  }
  return outcome(null);

  function pairs(step: number, links: readonly (string | null)[]): Compared[] {
    return links.flatMap((link, index) => {
      const recorded = record.links.get(step)?.get(index);
      const isAsked = stage === null || stage === index;
      return recorded === undefined || link === null || !isAsked
        ? []
        : [{ stage: index, recorded, repeated: link }];
    });
  }

  function outcome(differs: VerifyOutcome["differs"]): VerifyOutcome {
    const { step } = run;
    return { startStep, step, same, differs, parametersSha256: parametersSha256(run.weights()) };
  }
}

function isOther({ recorded, repeated }: Compared): boolean {
  return recorded !== repeated;
}
