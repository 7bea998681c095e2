import type { SessionKey, Ss58Address } from "../../src-protocol/keys.ts";
import type { LinkReach } from "../../src-protocol/link-report.ts";
import { apart } from "./apart.ts";

/** What placement needs to know of a live node. */
export interface Candidate {
  readonly sessionKey: SessionKey;
  /** To whom its work is paid. */
  readonly owner: Ss58Address;
  /** Of each stage that the node has something of on its own disk, the steps there that the run knows: none, of a model half loaded. */
  readonly restorable: ReadonlyMap<number, readonly number[]>;
  /** How often it failed to load a stage or was next to trouble; who never failed goes first. */
  readonly failures: number;
  /** Position in the order of arrival. */
  readonly arrival: number;
  /** Its owner has taken part in work that was found good. */
  readonly isTrusted: boolean;
  /** Of the whole computer. */
  readonly memoryBytes: number;
  /** Whether others can dial it; one that they cannot dial can only be the head, whom nobody dials. */
  readonly reach: LinkReach["state"];
}

/** Of a computer's memory, training may take so much: the system and its owner's programs have the rest. */
export const TRAINING_SHARE = 0.75;

export function canHold({ memoryBytes }: Pick<Candidate, "memoryBytes">, needBytes: number): boolean {
  return needBytes <= memoryBytes * TRAINING_SHARE;
}

export interface Vacancy {
  /** The live node that has the stage already and keeps it. */
  readonly holder: SessionKey | null;
  /** Steps of this stage that anybody can take from the orchestrator's store. */
  readonly stored: ReadonlySet<number>;
  /** Memory that training it takes. */
  readonly needBytes: number;
}

export interface Placement {
  readonly holders: readonly SessionKey[];
  readonly resumeStep: number;
}

/**
 * Gives every stage a node so that training resumes at the highest step which all of them can
 * restore: from their own snapshots, from a stored checkpoint, or from the seed (step 0). Who holds a
 * stage keeps it, unless another stage then fits nobody. A node that others cannot dial is given a
 * stage that nobody has to dial, or left out; only when no order does so, as if it could be dialled:
 * what was true a moment ago may be so no more. Of what is the same in all this, computers of one owner
 * are kept from being neighbours. Null when there are too few nodes, or too small ones.
 */
export function place(
  stages: readonly Vacancy[],
  nodes: ReadonlyMap<SessionKey, Candidate>,
): Placement | null {
  if (nodes.size < stages.length) return null;
  const dialled = stages.map((stage, index) => {
    const holder = stage.holder === null ? undefined : nodes.get(stage.holder);
    return holder !== undefined && !canTake(holder, index) ? { ...stage, holder: null } : stage;
  });
  const open = stages.map((stage) => ({ ...stage, holder: null }));
  const anywhere = new Map([...nodes].map(([key, node]) => [key, { ...node, reach: "unknown" as const }]));
  return (
    placeKeeping(dialled, nodes) ??
    placeKeeping(open, nodes) ??
    (isAllDialled(nodes) ? null : (placeKeeping(stages, anywhere) ?? placeKeeping(open, anywhere)))
  );
}

function canTake({ reach }: Candidate, stage: number): boolean {
  return reach !== "unreachable" || stage === 0;
}

function isAllDialled(nodes: ReadonlyMap<SessionKey, Candidate>): boolean {
  return [...nodes.values()].every(({ reach }) => reach !== "unreachable");
}

function placeKeeping(
  stages: readonly Vacancy[],
  nodes: ReadonlyMap<SessionKey, Candidate>,
): Placement | null {
  const holding = new Set(stages.map((stage) => stage.holder));
  const spare = [...nodes.values()].filter((node) => !holding.has(node.sessionKey)).sort(byMerit(() => 0));
  if (spare.length < stages.filter((stage) => stage.holder === null).length) return null;
  for (const step of candidateSteps(stages, nodes)) {
    const holders = placeAt(step, stages, nodes, spare);
    if (holders !== null) return { holders, resumeStep: step };
  }
  return null;
}

/**
 * SECURITY: what a node says it has begun puts it before others of the same standing, and before nobody else.
 *
 * @param late whoever has less of it comes first, of those that are equal
 */
function byMerit(late: (node: Candidate) => number): (a: Candidate, b: Candidate) => number {
  return (a, b) =>
    a.failures - b.failures ||
    Number(b.isTrusted) - Number(a.isTrusted) ||
    late(a) - late(b) ||
    a.arrival - b.arrival;
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

/**
 * A matching of open stages and spare nodes. Stages whose step only its owner can bring back go
 * first; a node that was given before is given away again where its stage can have another.
 */
function placeAt(
  step: number,
  stages: readonly Vacancy[],
  nodes: ReadonlyMap<SessionKey, Candidate>,
  spare: readonly Candidate[],
): SessionKey[] | null {
  const owns = (node: Candidate | undefined, stage: number): boolean =>
    node?.restorable.get(stage)?.includes(step) === true;
  const open = (stage: Vacancy): boolean => step === 0 || stage.stored.has(step);
  const eligible = stages.map((stage, index) => {
    if (stage.holder !== null) return [];
    const able = spare
      .filter((node) => canHold(node, stage.needBytes) && canTake(node, index))
      .sort(byMerit((node) => Number(!node.restorable.has(index))));
    const owners = able.filter((node) => owns(node, index));
    // Who has the step on disk saves a download.
    return open(stage) ? [...owners, ...able.filter((node) => !owns(node, index))] : owners;
  });
  const taken = new Map<number, Candidate>();
  const rank = (stage: Vacancy): number => (open(stage) ? 1 : 0);
  const order = [...stages.entries()].sort(([, a], [, b]) => rank(a) - rank(b));
  for (const [index, stage] of order) {
    if (stage.holder === null) {
      if (!augment(index, eligible, taken, new Set())) return null;
    } else if (!open(stage) && !owns(nodes.get(stage.holder), index)) return null;
  }
  const holders = stages.flatMap(
    ({ holder }, index) => (holder === null ? taken.get(index) : nodes.get(holder)) ?? [],
  );
  if (holders.length < stages.length) return null;
  // What a node has of its stage is never given up for another order.
  const isBound = (stage: number): boolean =>
    stages[stage]?.holder !== null || (holders[stage]?.restorable.get(stage)?.length ?? 0) > 0;
  const mayHold = (node: Candidate, stage: number): boolean =>
    canHold(node, stages[stage]?.needBytes ?? 0) && canTake(node, stage);
  return apart(holders, { isBound, mayHold, spare }).map(({ sessionKey }) => sessionKey);
}

/** Gives `stage` a node, if need be by giving others' stages another one (augmenting paths). */
function augment(
  stage: number,
  eligible: readonly (readonly Candidate[])[],
  taken: Map<number, Candidate>,
  tried: Set<SessionKey>,
): boolean {
  const holderOf = new Map([...taken].map(([index, { sessionKey }]) => [sessionKey, index]));
  const candidates = (eligible[stage] ?? []).filter(({ sessionKey }) => !tried.has(sessionKey));
  const free = candidates.find(({ sessionKey }) => !holderOf.has(sessionKey));
  if (free !== undefined) {
    taken.set(stage, free);
    return true;
  }
  for (const node of candidates) {
    const rival = holderOf.get(node.sessionKey);
    if (rival === undefined || tried.has(node.sessionKey)) continue;
    tried.add(node.sessionKey);
    if (!augment(rival, eligible, taken, tried)) continue;
    taken.set(stage, node);
    return true;
  }
  return false;
}
