import type { SessionKey } from "../src-protocol/keys.ts";

/** What placement needs to know of a live node. */
export interface Candidate {
  readonly sessionKey: SessionKey;
  /** Steps of each stage that are on the node's own disk. */
  readonly restorable: ReadonlyMap<number, readonly number[]>;
  /** How often it failed to load a stage or was next to trouble; who never failed goes first. */
  readonly failures: number;
  /** Position in the order of arrival. */
  readonly arrival: number;
}

export interface Vacancy {
  /** The live node that has the stage already and keeps it. */
  readonly holder: SessionKey | null;
  /** Steps of this stage that anybody can take from the orchestrator's store. */
  readonly stored: ReadonlySet<number>;
}

export interface Placement {
  readonly holders: readonly SessionKey[];
  readonly resumeStep: number;
}

/**
 * Gives every stage a node so that training resumes at the highest step which all of them can
 * restore: from their own snapshots, from a stored checkpoint, or from the seed (step 0). Null when
 * there are fewer nodes than stages.
 */
export function place(
  stages: readonly Vacancy[],
  nodes: ReadonlyMap<SessionKey, Candidate>,
): Placement | null {
  const holding = new Set(stages.map((stage) => stage.holder));
  const spare = [...nodes.values()]
    .filter((node) => !holding.has(node.sessionKey))
    .sort((a, b) => a.failures - b.failures || a.arrival - b.arrival);
  if (spare.length < stages.filter((stage) => stage.holder === null).length) return null;
  for (const step of candidateSteps(stages, nodes)) {
    const holders = placeAt(step, stages, nodes, spare);
    if (holders !== null) return { holders, resumeStep: step };
  }
  return null;
}

/** Every step that somebody could restore, the highest first; step 0 is the last resort of all. */
function candidateSteps(stages: readonly Vacancy[], nodes: ReadonlyMap<SessionKey, Candidate>): number[] {
  const steps = new Set<number>([0]);
  for (const [index, stage] of stages.entries())
    for (const step of restorableSteps(index, stage, nodes)) steps.add(step);
  return [...steps].sort((a, b) => b - a);
}

function restorableSteps(index: number, stage: Vacancy, nodes: ReadonlyMap<SessionKey, Candidate>): number[] {
  const owners = stage.holder === null ? [...nodes.values()] : [nodes.get(stage.holder)];
  return [...stage.stored, ...owners.flatMap((node) => node?.restorable.get(index) ?? [])];
}

function placeAt(
  step: number,
  stages: readonly Vacancy[],
  nodes: ReadonlyMap<SessionKey, Candidate>,
  spare: readonly Candidate[],
): SessionKey[] | null {
  const owns = (node: Candidate | undefined, stage: number): boolean =>
    node?.restorable.get(stage)?.includes(step) === true;
  const open = (stage: Vacancy): boolean => step === 0 || stage.stored.has(step);

  const taken = new Map<number, Candidate>();
  for (const [index, stage] of stages.entries()) {
    if (stage.holder !== null) {
      if (!open(stage) && !owns(nodes.get(stage.holder), index)) return null;
      continue;
    }
    // Only its owner can bring this step back: match owners to stages (augmenting paths).
    if (!open(stage) && !augment(index, spare, owns, taken, new Set())) return null;
  }
  const used = new Set([...taken.values()].map((node) => node.sessionKey));
  const holders: SessionKey[] = [];
  for (const [index, stage] of stages.entries()) {
    const free = spare.filter((node) => !used.has(node.sessionKey));
    const chosen =
      stage.holder ??
      taken.get(index)?.sessionKey ??
      // Who has the step on disk saves a download.
      (free.find((node) => owns(node, index)) ?? free[0])?.sessionKey;
    if (chosen === undefined) return null;
    used.add(chosen);
    holders.push(chosen);
  }
  return holders;
}

function augment(
  stage: number,
  spare: readonly Candidate[],
  owns: (node: Candidate, stage: number) => boolean,
  taken: Map<number, Candidate>,
  tried: Set<SessionKey>,
): boolean {
  for (const node of spare) {
    if (!owns(node, stage) || tried.has(node.sessionKey)) continue;
    tried.add(node.sessionKey);
    const rival = [...taken].find(([, holder]) => holder.sessionKey === node.sessionKey);
    if (rival === undefined || augment(rival[0], spare, owns, taken, tried)) {
      taken.set(stage, node);
      return true;
    }
  }
  return false;
}
