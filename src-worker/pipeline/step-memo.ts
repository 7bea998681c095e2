import type { Activations } from "../compute/compute-call.ts";
import { release } from "../compute/compute-call.ts";
import type { KeptSteps } from "./kept-steps.ts";

/** One micro-batch, from the first pass to the last one on this stage. Digests are those under which tensors came. */
export interface Worked {
  /** Null: it came from the run's samples. */
  readonly x: string | null;
  /** What went to the next stage; null at the tail. */
  readonly y: Activations | null;
  /** Null at the tail, which goes back at once. */
  readonly dy: string | null;
  /** What went to the previous stage; null at the head. */
  readonly dx: Activations | null;
  /** At the tail, nats per token. */
  readonly loss: number | null;
}

/** A forward pass whose gradient has not come back yet: the compute thread has what that will need. */
export interface Sent {
  readonly x: string | null;
  readonly y: Activations | null;
}

/** A step as far as this stage has come with it: its first micro-batches, in their order. */
export interface StepPart {
  readonly step: number;
  /** Of the stage's chain at the step, so of the parameters; null: not known yet. */
  readonly link: string | null;
  readonly worked: readonly Worked[];
  /** What their gradients come to; a number: the compute thread has noted them by it. */
  readonly sums: Activations | number;
}

/** How many bytes the steps take that are remembered, at most. */
const MEMO_BYTES = 256e6;
/** A stage is at most one step ahead of the one that the pipeline begins anew. */
const STEPS = 2;
/** Whoever begins the same step so often does not get through it: then it is worked on as if it were the first time. */
const MOST_BEGINNINGS = 4;

let lastNote = 0;

/**
 * What this stage has done of the step under way and of the one before, so that a pipeline that begins a step anew
 * does not compute it again: the same inputs to the same parameters give the same outputs, and those are here.
 * Holds the arrays it is given until it forgets them; what it forgets, `kept` does.
 */
export class StepMemo {
  #mostBytes = MEMO_BYTES;
  #sumCount = 0;
  /** The oldest first. */
  #parts: StepPart[] = [];
  /** By micro-batch, of one step. */
  #sent = { step: -1, passes: new Map<number, Sent>() };
  readonly #held = new Set<Activations>();
  #isOff = false;
  #begun = { step: -1, times: 0 };
  readonly #kept: Pick<KeptSteps, "forgetFrom"> | null;

  constructor(kept: Pick<KeptSteps, "forgetFrom"> | null = null) {
    this.#kept = kept;
  }

  /** So much may it hold from now on; it is held twice where it outlives the process. `sumCount`: values in a step's sums. */
  limit(bytes: number, sumCount: number): void {
    this.#mostBytes = Math.min(MEMO_BYTES, bytes / 2);
    this.#sumCount = sumCount;
  }

  get sumCount(): number {
    return this.#sumCount;
  }

  /** A number for sums that no others have had, of whatever memo: the compute thread outlives one. */
  nextNote(): number {
    lastNote += 1;
    return lastNote;
  }

  get parts(): readonly StepPart[] {
    return this.#parts;
  }

  /** Steps of this stage are too large to be remembered. */
  get isOff(): boolean {
    return this.#isOff || STEPS * this.#sumBytes > this.#mostBytes;
  }

  get #sumBytes(): number {
    return this.#sumCount * Float32Array.BYTES_PER_ELEMENT;
  }

  /** What another process has left of the same stage, where nothing is remembered yet. */
  restore(parts: readonly StepPart[]): void {
    this.#keep([...parts]);
  }

  /** Micro-batches of which the compute thread has what their gradients will need. */
  get sentCount(): number {
    return this.#sent.passes.size;
  }

  /**
   * `load` brings the compute thread to a state, and says whether it has the parameters that it had and what it kept
   * of the micro-batches under way. What it has not is not counted on again, whatever comes of this beginning.
   */
  async loaded<T extends { readonly hasInputs: boolean }>(
    load: (keepInputs: boolean) => Promise<T>,
  ): Promise<T> {
    const loaded = await load(this.sentCount > 0);
    if (!loaded.hasInputs) this.#sent.passes.clear();
    return loaded;
  }

  /** A generation begins at this state: what was worked from another one is forgotten. */
  begin(step: number, link: string): void {
    this.#isOff = false;
    this.#begun = { step, times: this.#begun.step === step ? this.#begun.times + 1 : 1 };
    // What was restored, or worked before, may be more than there is room for by now.
    const isTooMuch = this.isOff || this.#parts.some((part) => !this.#hasRoom(part));
    if (isTooMuch || this.#begun.times > MOST_BEGINNINGS) return this.clear();
    const first = this.#parts.findIndex((part) => part.step === step && part.link === link);
    if (first === -1) return this.forgetFrom(0);
    this.#keep(this.#parts.slice(first));
  }

  at(step: number): StepPart | null {
    return this.#parts.find((part) => part.step === step) ?? null;
  }

  sent(step: number, microBatch: number, pass: Sent): void {
    if (this.#sent.step !== step) this.#sent = { step, passes: new Map() };
    this.#sent.passes.set(microBatch, pass);
  }

  sentAt(step: number, microBatch: number): Sent | null {
    return this.#sent.step === step ? (this.#sent.passes.get(microBatch) ?? null) : null;
  }

  /** Its gradient is there; gives what was sent. */
  returned(step: number, microBatch: number): Sent | null {
    const pass = this.sentAt(step, microBatch);
    if (pass !== null) this.#sent.passes.delete(microBatch);
    return pass;
  }

  /**
   * Its sums are those after it; gives the step with it. Null: it is not remembered, since one before it is not, or
   * it has no room.
   */
  add(step: number, microBatch: number, worked: Worked, sums: number, link: string | null): StepPart | null {
    const before = this.at(step);
    if (this.isOff || microBatch !== (before?.worked.length ?? 0)) return null;
    const all = [...(before?.worked ?? []), worked];
    const part = { step, link: before?.link ?? link, worked: all, sums };
    return this.#put(part) ? part : null;
  }

  /** The parameters of this step are known by their chain now. False: what is remembered of it is of other ones. */
  linked(step: number, link: string): boolean {
    const known = this.at(step)?.link ?? link;
    if (known !== link) {
      this.forgetFrom(step);
      return false;
    }
    this.#parts = this.#parts.map((part) => (part.step === step ? { ...part, link } : part));
    return true;
  }

  /** This step went another way this time, and so does everything after it. */
  forgetFrom(step: number): void {
    this.#keep(this.#parts.filter((part) => part.step < step));
    this.#kept?.forgetFrom(step);
  }

  /** Whether somebody else may give the array's memory back. */
  holds(values: Activations): boolean {
    return this.#held.has(values) || [...this.#sent.passes.values()].some(({ y }) => y === values);
  }

  /** What is still being sent is not given back, but left. */
  clear(): void {
    this.forgetFrom(0);
    this.#sent.passes.clear();
  }

  #put(part: StepPart): boolean {
    const others = this.#parts.filter(({ step }) => step < part.step && step > part.step - STEPS);
    const parts = [...others, part];
    if (!this.#hasRoom(part)) {
      this.clear();
      this.#isOff = true;
      return false;
    }
    const before = new Set(this.#held);
    this.#keep(parts);
    this.#kept?.forgetFrom(part.step + 1);
    // By now all that was made of it has been sent.
    for (const array of before) if (!this.#held.has(array)) release(array);
    return true;
  }

  #hasRoom(part: StepPart): boolean {
    return STEPS * (bytesOf(part) + this.#sumBytes) <= this.#mostBytes;
  }

  #keep(parts: StepPart[]): void {
    this.#parts = parts;
    this.#held.clear();
    for (const array of parts.flatMap(arraysOf)) this.#held.add(array);
  }
}

function arraysOf({ worked }: StepPart): Activations[] {
  return worked.flatMap(({ y, dx }) => [y, dx].filter((array) => array !== null));
}

function bytesOf(part: StepPart): number {
  return arraysOf(part).reduce((sum, { byteLength }) => sum + byteLength, 0);
}
