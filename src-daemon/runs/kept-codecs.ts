import { AS_THEY_ARE, linkCodecs } from "../../src-protocol/link-codecs.ts";
import type { LinkCodecs } from "../../src-protocol/link-codecs.ts";
import type { RunSpec } from "../../src-protocol/model.ts";
import { keptChoice } from "./kept-choice.ts";
import type { Choice, ServedPlaces } from "./kept-choice.ts";

/** In which codecs a served run's values travel. The run: as it would be with values as they are. */
export function keptCodecs(
  places: ServedPlaces,
  { runId }: Pick<RunSpec, "runId">,
  choice: Pick<Choice<LinkCodecs>, "said" | "chosen">,
): LinkCodecs {
  return keptChoice(places, runId, {
    file: "codecs.json",
    what: "how the values of runs travel",
    schema: linkCodecs,
    earlier: AS_THEY_ARE,
    ...choice,
  });
}
