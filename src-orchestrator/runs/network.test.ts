import { describe, expect, test } from "vitest";
import type { OrchestratorMessage } from "../../src-protocol/control.ts";
import { Fleet, testHotkey, testKey, testRun } from "./fleet.test-support.ts";
import { awaitedNodes, FORMING_LIMIT_MS } from "./forming.ts";
import { SETTLE_MS, STRANGERS_AFTER_MS, WAIT_PER_STEP_MS } from "./network-state.ts";
import { nextWake } from "./network.ts";
import type { RunMessage } from "./network-state.ts";
import { checkpointDue, tokensPerSecond } from "./progress.ts";
import { runView } from "./run-view.ts";
import { SAVED_STATE } from "../stores/saved-state.test-support.ts";

function training(computers = 3, change = {}): Fleet {
  const fleet = new Fleet(testRun(change), computers);
  for (const { number } of fleet.computers) fleet.join(number);
  fleet.hearAll();
  return fleet;
}

function run(fleet: Fleet, steps: number): void {
  for (let i = 0; i < steps; i++) {
    fleet.now += 100;
    fleet.work();
    fleet.hearAll();
  }
}

function said<T extends OrchestratorMessage["type"]>(
  fleet: Fleet,
  type: T,
): Extract<OrchestratorMessage, { type: T }>[] {
  return fleet.sent.flatMap(({ message }) =>
    message.type === type ? [message as Extract<OrchestratorMessage, { type: T }>] : [],
  );
}

const holders = (fleet: Fleet) => fleet.state.stages.map((stage) => stage.holder);
const session = (fleet: Fleet, number: number) => fleet.computer(number).session;
const resumed = (fleet: Fleet) => said(fleet, "assign").at(-1)?.resumeStep;

describe("forming", () => {
  test("who waits is told how many computers are missing, and what nobody holds", () => {
    const fleet = new Fleet(testRun(), 3);
    const detail = () => runView(fleet.state, [], 0).detail;
    expect(detail()).toBe("Waiting for 3 more computers: slices 1, 2, 3 are looking for homes.");
    fleet.join(0);
    expect(detail()).toBe("Waiting for 2 more computers: 1 of the 3 that it needs is here.");
    fleet.join(1);
    expect(detail()).toBe("Waiting for 1 more computer: 2 of the 3 that it needs are here.");
  });

  test("nothing is assigned until every stage has a node", () => {
    const fleet = new Fleet(testRun(), 3);
    fleet.join(0);
    fleet.join(1);
    expect(fleet.sent).toEqual([]);
    expect(fleet.state.phase).toBe("waiting");
    fleet.join(2);
    expect(fleet.state.phase).toBe("forming");
    const assigned = said(fleet, "assign");
    expect(assigned.map((message) => message.stage)).toEqual([0, 1, 2]);
    expect(assigned[1]?.previous?.sessionKey).toBe(session(fleet, 0));
    expect(assigned[1]?.next?.address.port).toBe(1002);
    expect(assigned[0]?.previous).toBeNull();
    expect(assigned[2]?.next).toBeNull();
  });

  test("training begins when all are ready, with the first two steps granted to the head", () => {
    const fleet = training();
    expect(fleet.state.phase).toBe("training");
    const grants = fleet.sent.filter(({ message }) => message.type === "grant");
    expect(grants.map(({ to }) => to)).toEqual([session(fleet, 0), session(fleet, 0)]);
    expect(said(fleet, "grant").map((grant) => grant.step)).toEqual([0, 1]);
  });

  test("a step is granted only when every stage has saved the one before its predecessor", () => {
    const fleet = training();
    const generation = fleet.state.generation;
    fleet.work();
    const spoken = fleet.computers.flatMap((one) => one.outbox.splice(0));
    const slow = session(fleet, 1);
    for (const { from, message } of spoken)
      if (from !== slow || message.type !== "saved") fleet.say(from, message);
    expect(said(fleet, "grant").at(-1)?.step).toBe(1);
    fleet.say(slow ?? testKey(0), { type: "saved", generation, step: 1, ...SAVED_STATE });
    expect(said(fleet, "grant").at(-1)?.step).toBe(2);
  });

  test("a node that cannot load its stage in time is replaced by a spare", () => {
    const fleet = new Fleet(testRun(), 4);
    for (const number of [0, 1, 2, 3]) fleet.join(number);
    for (const number of [0, 2]) fleet.hear(number);
    expect(nextWake(fleet.state)).toBe(fleet.now + FORMING_LIMIT_MS);
    fleet.tick(FORMING_LIMIT_MS);
    expect(holders(fleet)).toEqual([session(fleet, 0), session(fleet, 3), session(fleet, 2)]);
  });

  test("a node whose stage comes slowly is waited for as long as it comes, and one that only says so is not", () => {
    const bytes = 40_000_000;
    const run = testRun({ corpus: { name: "long", sha256: "0".repeat(64), bytes, tokenBytes: 1 } });
    const fleet = new Fleet(run, 4);
    for (const number of [0, 1, 2, 3]) fleet.join(number);
    for (const number of [0, 2]) fleet.hear(number);
    const slow = session(fleet, 1);
    const say = (loaded: number) => {
      if (slow !== null)
        fleet.say(slow, { type: "loading", generation: fleet.state.generation, bytes: loaded });
    };
    for (let megabytes = 2; megabytes <= 30; megabytes += 2) {
      fleet.tick(FORMING_LIMIT_MS - 1);
      say(megabytes * 1e6);
    }
    expect(fleet.state.phase).toBe("forming");
    expect(holders(fleet)[1]).toBe(slow);
    // A byte more each time, or more than the stage has, is no progress.
    for (const loaded of [30_000_001, 30_000_002, 2 ** 43]) {
      fleet.tick(FORMING_LIMIT_MS / 4);
      say(loaded);
    }
    fleet.tick(FORMING_LIMIT_MS / 4);
    expect(holders(fleet)[1]).toBe(session(fleet, 3));
  });
});

describe("memory", () => {
  /** Gigabytes of each stage and each computer. */
  function sized(needs: readonly number[], memories: readonly number[]): Fleet {
    const fleet = new Fleet(testRun(), memories.length, needs, memories);
    for (const { number } of fleet.computers) fleet.join(number);
    fleet.hearAll();
    return fleet;
  }
  const numbers = (fleet: Fleet) =>
    holders(fleet).map((key) => fleet.computers.find((one) => one.session === key)?.number);
  const detailOf = (fleet: Fleet) => runView(fleet.state, [], 0).detail;

  test("a stage goes to a computer that has the memory for it, whoever came first", () => {
    expect(numbers(sized([1, 5, 1], [8, 4, 8]))).toEqual([0, 2, 1]);
    expect(numbers(sized([1, 1, 5], [8, 4, 4]))).toEqual([2, 1, 0]);
    expect(numbers(sized([6, 6, 6], [8, 8, 8]))).toEqual([0, 1, 2]);
  });

  test("a run that no computer can hold says what is missing", () => {
    const fleet = sized([1, 6.5, 1], [8, 8, 8]);
    expect(fleet.state.phase).toBe("waiting");
    expect(detailOf(fleet)).toBe(
      "Slice 2 needs 6.50 GB of memory, more than any connected computer can give: training takes at most three quarters, " +
        "6.00 GB of the 8.00 GB of the largest. Connect a computer with more memory, or start the run with more slices or smaller micro-batches.",
    );
  });

  test("a run whose large stages are more than the large computers says so, and goes on when one comes", () => {
    const fleet = new Fleet(testRun(), 4, [1, 5, 5], [8, 4, 4, 8]);
    for (const number of [0, 1, 2]) fleet.join(number);
    expect(detailOf(fleet)).toMatch(/^Another computer is needed for a slice of 5\.00 GB/);
    fleet.join(3);
    expect(fleet.state.phase).toBe("forming");
  });

  test("when the large stage loses its computer, a large one that holds a small stage takes it", () => {
    const fleet = sized([1, 5, 1], [8, 8, 4, 4]);
    expect(numbers(fleet)).toEqual([0, 1, 2]);
    run(fleet, 6);
    fleet.leave(1);
    expect(fleet.state.phase).toBe("forming");
    expect(numbers(fleet)[1]).toBe(0);
    expect(resumed(fleet)).toBe(4);
    fleet.hearAll();
    run(fleet, 1);
    expect(fleet.state.step).toBe(5);
  });
});

describe("a node is lost", () => {
  test("a spare takes the stage at once, from the newest step that everybody has", () => {
    const fleet = training(4);
    run(fleet, 6);
    const before = fleet.state.generation;
    fleet.leave(1);
    expect(fleet.state.phase).toBe("forming");
    expect(fleet.state.generation).toBe(before + 1);
    expect(holders(fleet)[1]).toBe(session(fleet, 3));
    expect(resumed(fleet)).toBe(4);
    const messages = said(fleet, "assign").slice(-3);
    expect(messages.map((message) => message.checkpointSha256 === null)).toEqual([true, false, true]);
    fleet.hearAll();
    fleet.now += 250;
    fleet.work();
    fleet.hearAll();
    expect(fleet.state.recoveries).toBe(1);
    expect(fleet.state.lastRecoveryMs).toBe(250);
  });

  test("without a spare the others are told to stop, and the same node brings its newest step back", () => {
    const fleet = training();
    run(fleet, 6);
    fleet.leave(2);
    expect(fleet.state.phase).toBe("waiting");
    expect(said(fleet, "halt")).toHaveLength(2);
    fleet.now += 4_000;
    fleet.join(2);
    expect(resumed(fleet)).toBe(6);
    expect(
      said(fleet, "assign")
        .slice(-3)
        .every((message) => message.checkpointSha256 === null),
    ).toBe(true);
  });

  test("a snapshot reported after the stop still counts, and one that was never reported does not", () => {
    const fleet = training();
    run(fleet, 3);
    fleet.work();
    while (fleet.computer(0).outbox.length > 0) fleet.hear(0);
    fleet.leave(0);
    fleet.hearAll();
    fleet.join(0);
    expect(resumed(fleet)).toBe(4);
    fleet.hearAll();
    fleet.work();
    fleet.leave(0);
    fleet.hearAll();
    fleet.join(0);
    expect(resumed(fleet)).toBe(4);
  });

  test("newer steps are given up only when one has been finished after the older one", () => {
    const fleet = training(4);
    run(fleet, 6);
    fleet.leave(2);
    expect(resumed(fleet)).toBe(4);
    fleet.leave(3);
    // It and the others still have the steps 5 and 6.
    fleet.join(2);
    expect(resumed(fleet)).toBe(6);
    fleet.hearAll();
    fleet.leave(2);
    fleet.join(3);
    expect(resumed(fleet)).toBe(4);
    fleet.hearAll();
    run(fleet, 1);
    fleet.leave(3);
    fleet.join(2);
    expect(resumed(fleet)).toBe(4);
  });

  test("the only one with a slice's newest work is waited for, no longer than it takes to do it again", () => {
    const fleet = training(4, { steps: null, checkpointEverySteps: 1000 });
    run(fleet, 40);
    fleet.leave(1);
    expect(fleet.state.phase).toBe("waiting");
    expect(runView(fleet.state, [], 0).detail).toContain("without it, 40 steps would be lost");
    fleet.tick(3_000);
    fleet.join(1);
    expect(resumed(fleet)).toBe(40);
    fleet.hearAll();
    run(fleet, 10);
    fleet.leave(1);
    fleet.tick(50 * 100 - 1);
    expect(fleet.state.phase).toBe("waiting");
    fleet.tick(1);
    expect(resumed(fleet)).toBe(0);
    expect(runView(fleet.state, [], 0).detail).toContain("50 steps of work are lost");
  });

  test("who comes while the only one with a slice's newest work is away does not make the run give it up", () => {
    const fleet = training(3, { steps: null, checkpointEverySteps: 1000 });
    const late = new Fleet(fleet.run, 4).computer(3);
    fleet.computers.push(late);
    run(fleet, 40);
    fleet.leave(1);
    fleet.tick(1_000);
    fleet.join(3);
    expect(fleet.state.phase).toBe("waiting");
    fleet.join(1);
    expect(resumed(fleet)).toBe(40);
    expect(holders(fleet)).toContain(session(fleet, 1));
  });

  describe("when all have gone for the night, and come back one after another", () => {
    /** All but `last`, who held the middle slice, are there again. */
    function evening(): { fleet: Fleet; last: number } {
      const fleet = training(4, { steps: null, checkpointEverySteps: 1000 });
      run(fleet, 40);
      const all = [0, 1, 2, 3];
      const last = all.find((index) => session(fleet, index) === holders(fleet)[1]) ?? 0;
      const others = all.filter((index) => index !== last);
      for (const index of [...others, last]) fleet.leave(index);
      fleet.tick(10 * 3_600_000);
      for (const index of others) fleet.join(index);
      return { fleet, last };
    }

    test("the last one with the newest work is waited for as long as that takes to do again, from when the others could begin", () => {
      const { fleet, last } = evening();
      expect(fleet.state).toMatchObject({ phase: "waiting", wouldLose: 40 });
      fleet.tick(3_900);
      expect(fleet.state.phase).toBe("waiting");
      fleet.join(last);
      expect(resumed(fleet)).toBe(40);
    });

    test("and no longer", () => {
      const { fleet } = evening();
      fleet.tick(4_100);
      expect(resumed(fleet)).toBe(0);
    });
  });

  describe("and much would be given up", () => {
    function asking(steps: number, checkpointEverySteps: number): Fleet {
      const fleet = training(4, { steps: null, checkpointEverySteps });
      fleet.isAsking();
      run(fleet, steps);
      fleet.leave(1);
      fleet.tick(steps * 100);
      return fleet;
    }

    test("the operator is asked, and the run goes on when it agrees", () => {
      const fleet = asking(40, 1000);
      expect(fleet.state).toMatchObject({ phase: "waiting", wouldResume: 0, wouldLose: 40 });
      expect(nextWake(fleet.state), "nothing but an answer or a computer changes that").toBeNull();
      expect(runView(fleet.state, [], 0).detail).toBe(
        "No computer that is here has the newest work: to go on from step 0, 40 steps would be lost. This network's operator decides.",
      );
      fleet.dispatch({ type: "goBack", ...fleet.moment(), resumeStep: 0 });
      expect(fleet.state).toMatchObject({ phase: "forming", resumeStep: 0, wouldResume: null });
      fleet.hearAll();
      run(fleet, 40);
      expect(fleet.state).toMatchObject({ phase: "training", step: 40, mayResume: null });
    });

    test("the operator is told who would bring it back", () => {
      const fleet = asking(40, 1000);
      const [awaited, ...others] = awaitedNodes(fleet.state);
      expect(others).toEqual([]);
      expect(awaited).toMatchObject({ stage: 1, node: { hotkey: testHotkey(1) } });
      expect(fleet.now - (awaited?.at ?? 0), "since when it has gone").toBe(4_000);
      const { date } = fleet.moment();
      expect(date - (awaited?.date ?? 0), "and by the wall clock").toBe(4_000);
      // This computer sleeps, or its clock is set: that moves nothing that has been.
      fleet.clockAhead += 8 * 3_600_000;
      fleet.tick(5_000);
      expect(awaitedNodes(fleet.state)[0]?.date).toBe(awaited?.date);
      fleet.dispatch({ type: "goBack", ...fleet.moment(), resumeStep: 0 });
      expect(awaitedNodes(fleet.state), "nobody is waited for any more").toEqual([]);
    });

    test("and not any more when the computer comes back, however late", () => {
      const fleet = asking(40, 1000);
      fleet.tick(3 * 86_400_000);
      expect(fleet.state.phase).toBe("waiting");
      fleet.join(1);
      expect(fleet.state).toMatchObject({ phase: "forming", resumeStep: 40, wouldResume: null });
    });

    test("nor while there are too few to go on at all: what is given up then may be another thing", () => {
      const fleet = asking(40, 1000);
      fleet.leave(2);
      expect(fleet.state).toMatchObject({ phase: "waiting", wouldResume: null, wouldLose: 0 });
      expect(runView(fleet.state, [], 0).detail).toMatch(/^Waiting for 1 more computer/);
      fleet.join(2);
      expect(fleet.state).toMatchObject({ phase: "waiting", wouldResume: 0, wouldLose: 40 });
    });

    test("what it agreed to is waited for no more, also when another computer goes before the first step", () => {
      const fleet = asking(40, 1000);
      fleet.dispatch({ type: "goBack", ...fleet.moment(), resumeStep: 0 });
      fleet.leave(2);
      expect(fleet.state).toMatchObject({ phase: "waiting", wouldLose: 0 });
      fleet.join(2);
      expect(fleet.state).toMatchObject({ phase: "forming", resumeStep: 0 });
    });

    test("what it agreed to is no word for less", () => {
      const fleet = asking(40, 1000);
      fleet.dispatch({ type: "goBack", ...fleet.moment(), resumeStep: 8 });
      expect(fleet.state).toMatchObject({ phase: "waiting", wouldResume: 0 });
    });

    test("nobody is asked about what lies between two checkpoints, or about a run that has hardly begun", () => {
      expect(asking(95, 50).state).toMatchObject({ phase: "forming", resumeStep: 50 });
      expect(asking(20, 1000).state).toMatchObject({ phase: "forming", resumeStep: 0 });
    });
  });

  test("one that leaves on purpose is not counted as a recovery", () => {
    const fleet = training();
    run(fleet, 2);
    fleet.leave(1, "drained");
    fleet.now += 60_000;
    fleet.join(1);
    fleet.hearAll();
    run(fleet, 1);
    expect(fleet.state.recoveries).toBe(0);
    expect(fleet.state.lastRecoveryMs).toBeNull();
  });

  test("a returning node gets the stage whose newest steps it holds, whatever the order of return", () => {
    const fleet = training();
    run(fleet, 5);
    const before = holders(fleet).map((key) => fleet.computers.find((one) => one.session === key)?.number);
    for (const number of [0, 1, 2]) fleet.leave(number);
    for (const number of [2, 0, 1]) fleet.join(number);
    const after = holders(fleet).map((key) => fleet.computers.find((one) => one.session === key)?.number);
    expect(after).toEqual(before);
    expect(resumed(fleet)).toBe(5);
  });
});

describe("trouble", () => {
  test("a broken link re-forms a moment later, so that a dead peer is noticed first", () => {
    const fleet = training();
    run(fleet, 2);
    const key = session(fleet, 0) ?? testKey(0);
    fleet.say(key, { type: "trouble", generation: fleet.state.generation, code: "link-closed", message: "" });
    expect(fleet.state.phase).toBe("waiting");
    const wake = nextWake(fleet.state);
    expect(wake).toBe(fleet.now + 200);
    fleet.tick(200);
    expect(fleet.state.phase).toBe("forming");
    expect(resumed(fleet)).toBe(2);
  });

  test("a step that its owner cannot load is not chosen again", () => {
    const fleet = training();
    run(fleet, 6);
    fleet.leave(2);
    fleet.join(2);
    expect(resumed(fleet)).toBe(6);
    fleet.computers.forEach((one) => one.outbox.splice(0));
    const key = session(fleet, 2) ?? testKey(0);
    fleet.say(key, {
      type: "trouble",
      generation: fleet.state.generation,
      code: "snapshot-corrupt",
      message: "",
    });
    fleet.tick(5_000);
    expect(resumed(fleet)).toBe(5);
  });

  test.each([0, 1, 2])("a node that its neighbours cannot use loses stage %i to a spare one", (stage) => {
    const fleet = training(4, { checkpointEverySteps: 2 });
    run(fleet, 5);
    const bad = fleet.state.stages[stage]?.holder;
    for (let round = 0; round < 12; round++) {
      fleet.computers.forEach((one) => one.outbox.splice(0));
      const at = fleet.state.stages.findIndex(({ holder }) => holder === bad);
      if (at === -1) break;
      const reporter = fleet.state.stages[at === 0 ? 1 : at - 1]?.holder ?? testKey(0);
      const { generation } = fleet.state;
      fleet.say(reporter, { type: "trouble", generation, code: "peer-unreachable", message: "" });
      fleet.tick(5_000);
    }
    expect(fleet.state.phase).toBe("forming");
    expect(holders(fleet)).not.toContain(bad);
    // The newest step that everybody but the bad one can return to.
    expect(resumed(fleet)).toBe(4);
  });

  test("a pipeline that answers and finishes no step is formed anew, in the end with another node", () => {
    const fleet = training(4, { checkpointEverySteps: 2 });
    run(fleet, 4);
    const before = fleet.state.generation;
    fleet.tick(59_000);
    expect(fleet.state.generation).toBe(before);
    fleet.tick(1_000);
    expect(fleet.state.generation).toBe(before + 1);
    expect(resumed(fleet)).toBe(4);
    for (let round = 0; round < 3; round++) {
      for (const key of holders(fleet)) {
        const { generation } = fleet.state;
        if (key !== null) fleet.say(key, { type: "ready", generation });
      }
      expect(fleet.state.phase).toBe("training");
      fleet.tick((nextWake(fleet.state) ?? 0) - fleet.now);
    }
    expect(holders(fleet)).toContain(fleet.computer(3).session);
    expect(resumed(fleet)).toBe(4);
  });

  /** So many tries end alike; the pauses after them. */
  function pausesOf(fleet: Fleet, tries: number): number[] {
    return Array.from({ length: tries }, () => {
      const key = fleet.state.stages[0]?.holder ?? testKey(0);
      const { generation } = fleet.state;
      fleet.say(key, { type: "trouble", generation, code: "link-closed", message: "" });
      const pause = (nextWake(fleet.state) ?? 0) - fleet.now;
      fleet.tick(pause);
      return pause;
    });
  }
  const longPauses = [10, 20, 40, 80, 160, 300, 300].map((seconds) => seconds * 1000);

  test("repeated trouble is answered more and more slowly", () => {
    const fleet = training();
    expect(pausesOf(fleet, 13)).toEqual([200, 400, 800, 1600, 3200, 5000, ...longPauses]);
    fleet.hearAll();
    run(fleet, 1);
    expect(pausesOf(fleet, 2), "a finished step ends it").toEqual([200, 400]);
  });

  test("while a spare computer may do better, it is tried without long pauses", () => {
    expect(pausesOf(training(4), 14).slice(5)).toEqual([...Array<number>(7).fill(5000), 10_000, 20_000]);
  });

  test("who looks is told how often it was tried, what the trouble is, and when the next try is", () => {
    const fleet = training();
    fleet.clockAhead = Date.UTC(2026, 10, 30, 15) - fleet.now;
    pausesOf(fleet, 7);
    const at = new Date(fleet.moment().date + 20_000).toISOString().slice(11, 19);
    const { generation } = fleet.state;
    fleet.say(session(fleet, 0) ?? testKey(0), {
      type: "trouble",
      generation,
      code: "link-closed",
      message: "",
    });
    const detail = () => runView(fleet.state, [], 0).detail;
    expect(at).toMatch(/^15:00:/);
    expect(detail()).toBe(
      `8 tries in a row have finished no step: the next one is at ${at} UTC, or when a computer comes or goes. Slice 1 had trouble: link-closed. (8 times in a row)`,
    );
    fleet.tick(20_000);
    expect(detail()).toMatch(/^0 of 3 slices are loaded\. Slice 1 had trouble/);
  });

  test.each([
    ["another computer", (fleet: Fleet) => fleet.join(3)],
    [
      "a computer that comes again",
      (fleet: Fleet) => {
        fleet.leave(1);
        fleet.join(1);
      },
    ],
    [
      "another address",
      (fleet: Fleet) => {
        const sessionKey = session(fleet, 1) ?? testKey(0);
        const linkAddress = { host: "127.0.0.2", port: 9 };
        fleet.dispatch({ type: "moved", ...fleet.moment(), sessionKey, linkAddress, otherAddresses: [] });
        fleet.tick((nextWake(fleet.state) ?? Infinity) - fleet.now);
      },
    ],
  ])("%s ends a long pause at once", (_, change) => {
    const fleet = training();
    fleet.computers.push(new Fleet(fleet.run, 4).computer(3));
    pausesOf(fleet, 12);
    const { generation } = fleet.state;
    const key = session(fleet, 0) ?? testKey(0);
    fleet.say(key, { type: "trouble", generation, code: "link-closed", message: "" });
    expect((nextWake(fleet.state) ?? 0) - fleet.now).toBe(300_000);
    const { now } = fleet;
    change(fleet);
    expect(fleet.state).toMatchObject({ phase: "forming", generation: generation + 1 });
    expect(fleet.now).toBe(now);
    expect(pausesOf(fleet, 1)).toEqual([800]);
  });

  test("the same address over another connection does not end it", () => {
    const fleet = training();
    pausesOf(fleet, 12);
    const { generation } = fleet.state;
    const key = session(fleet, 1) ?? testKey(0);
    fleet.say(key, { type: "trouble", generation, code: "link-closed", message: "" });
    const { linkAddress, otherAddresses } = fleet.state.nodes.get(key) ?? {};
    if (linkAddress === undefined || otherAddresses === undefined) throw new Error("computer 1 is not there");
    fleet.dispatch({ type: "moved", ...fleet.moment(), sessionKey: key, linkAddress, otherAddresses });
    expect((nextWake(fleet.state) ?? 0) - fleet.now).toBe(300_000);
  });

  test("what is no number is one trouble, whichever stage meets it first", () => {
    const fleet = training();
    run(fleet, 2);
    for (const [stage, code] of [
      [0, "tensor-not-finite"],
      [1, "gradient-not-finite"],
      [0, "tensor-not-finite"],
    ] as const) {
      const { generation } = fleet.state;
      const key = session(fleet, stage) ?? testKey(0);
      fleet.say(key, { type: "trouble", generation, code, message: `as stage ${stage} saw it` });
      fleet.tick(5_000);
    }
    expect(fleet.state.lastTrouble).toEqual({
      text: "Slice 1 had trouble: tensor-not-finite. as stage 0 saw it",
      times: 3,
    });
  });
});

describe("messages that do not count", () => {
  test("those of an earlier generation change nothing", () => {
    const fleet = training(4);
    run(fleet, 2);
    const old = fleet.state.generation;
    fleet.leave(1);
    const before = fleet.state;
    const key = session(fleet, 0) ?? testKey(0);
    for (const type of ["ready", "saved", "stepped", "evaluated", "trouble", "checkpoint"] as const) {
      const step = 3;
      const common = { generation: old, step };
      if (type === "ready") fleet.say(key, { type, generation: old });
      if (type === "saved") fleet.say(key, { type, ...common, ...SAVED_STATE });
      if (type === "stepped") fleet.say(key, { type, ...common, loss: 1, computeMs: 1 });
      if (type === "evaluated") fleet.say(key, { type, ...common, loss: 1 });
      if (type === "trouble") fleet.say(key, { type, generation: old, code: "link", message: "" });
      if (type === "checkpoint") fleet.say(key, { type, ...common, sha256: "1".repeat(64), bytes: 1 });
      expect(fleet.state).toEqual(before);
    }
  });

  test("a step beyond the grants, a loss from the middle, and a node without a stage are ignored", () => {
    const fleet = training(4);
    const { generation } = fleet.state;
    const before = fleet.state;
    fleet.say(session(fleet, 1) ?? testKey(0), { type: "saved", generation, step: 50, ...SAVED_STATE });
    fleet.say(session(fleet, 1) ?? testKey(0), {
      type: "stepped",
      generation,
      step: 50,
      loss: null,
      computeMs: 1,
    });
    fleet.say(session(fleet, 1) ?? testKey(0), { type: "evaluated", generation, step: 1, loss: 1 });
    fleet.say(session(fleet, 3) ?? testKey(0), { type: "saved", generation, step: 1, ...SAVED_STATE });
    fleet.say(testKey(99), { type: "saved", generation, step: 1, ...SAVED_STATE });
    expect(fleet.state).toEqual(before);
  });
});

describe("progress", () => {
  test("each finished step is a point with the tail's loss and the tokens per second", () => {
    const fleet = training();
    run(fleet, 3);
    const points = fleet.rows.flatMap((row) => (row.kind === "point" ? [row.point] : []));
    expect(points.map((point) => point.step)).toEqual([1, 2, 3]);
    expect(points[2]?.loss).toBeCloseTo(4.98);
    // 2 sequences of 16 tokens in 2 micro-batches every 100 ms.
    expect(tokensPerSecond(fleet.state)).toBeCloseTo(640);
  });

  test("it evaluates every so many steps and at the end, then it is finished", () => {
    const fleet = training();
    run(fleet, 20);
    expect(
      said(fleet, "grant")
        .filter((grant) => grant.evaluations > 0)
        .map((grant) => grant.step),
    ).toEqual([0, 5, 10, 12]);
    expect(said(fleet, "grant").at(-1)).toMatchObject({ step: 12, microBatches: 0 });
    expect(fleet.state.phase).toBe("finished");
    expect(fleet.state.heldOutLoss).toBeCloseTo(5.88);
    expect(fleet.state.heldOutLossAtStart).toBe(6);
    const points = fleet.rows.flatMap((row) => (row.kind === "point" ? [row.point] : []));
    expect(points.findLast((point) => point.step === 5)?.heldOutLoss).toBeCloseTo(5.95);
    expect(said(fleet, "halt")).toHaveLength(0);
    fleet.tick(3_000);
    expect(said(fleet, "halt")).toHaveLength(3);
    expect(nextWake(fleet.state)).toBeNull();
  });

  test("the last step is a checkpoint too, however many steps lie between them", () => {
    const fleet = training(3, { steps: 10 });
    run(fleet, 12);
    expect(fleet.state.phase).toBe("finished");
    expect(fleet.state.stages.map(({ checkpoints }) => Array.from(checkpoints.keys()))).toEqual([
      [4, 8, 10],
      [4, 8, 10],
      [4, 8, 10],
    ]);
  });

  test("a final evaluation that was lost with its node is asked for again", () => {
    const fleet = training();
    run(fleet, 12);
    expect(fleet.state.step).toBe(12);
    expect(fleet.state.phase).toBe("training");
    fleet.leave(2);
    fleet.join(2);
    fleet.hearAll();
    run(fleet, 1);
    expect(fleet.state.phase).toBe("finished");
  });

  test("a run without an end goes on", () => {
    const fleet = training(3, { steps: null });
    run(fleet, 40);
    expect(fleet.state.step).toBe(40);
    expect(fleet.state.phase).toBe("training");
  });
});

describe("an orchestrator that starts again", () => {
  test("continues where the nodes are, in a generation that was never used", () => {
    const fleet = training();
    run(fleet, 7);
    const old = fleet.state.generation;
    fleet.restart();
    expect(fleet.state.step).toBe(7);
    for (const number of [1, 2, 0]) fleet.join(number);
    expect(resumed(fleet)).toBe(7);
    expect(fleet.state.generation).toBeGreaterThan(old);
  });

  test("waits a little for the nodes that have the newest steps, then goes on without them", () => {
    const fleet = training(4, { checkpointEverySteps: 100 });
    run(fleet, 7);
    fleet.restart();
    fleet.join(3);
    fleet.join(0);
    fleet.join(1);
    expect(fleet.state.phase).toBe("waiting");
    fleet.now += 50;
    fleet.join(2);
    expect(resumed(fleet)).toBe(7);
    fleet.restart();
    for (const number of [3, 0, 1]) fleet.join(number);
    fleet.tick(SETTLE_MS);
    // The owner of what would be lost may still come, and one of these has done nothing yet.
    expect(fleet.state.phase).toBe("waiting");
    fleet.tick(STRANGERS_AFTER_MS - SETTLE_MS);
    expect(fleet.state.phase).toBe("forming");
    expect(resumed(fleet)).toBe(0);
  });

  test("waits longer for an owner who has not come the more steps would be lost, and says so", () => {
    const fleet = training(4, { steps: null, checkpointEverySteps: 1000 });
    run(fleet, 40);
    fleet.restart();
    for (const number of [3, 0, 1]) fleet.join(number);
    fleet.tick(STRANGERS_AFTER_MS);
    expect(fleet.state.phase).toBe("waiting");
    expect(runView(fleet.state, [], 0).detail).toContain("40 steps would be lost");
    fleet.join(2);
    expect(resumed(fleet)).toBe(40);
    fleet.restart();
    for (const number of [3, 0, 1]) fleet.join(number);
    fleet.tick(SETTLE_MS + 40 * WAIT_PER_STEP_MS - 1);
    expect(fleet.state.phase).toBe("waiting");
    fleet.tick(1);
    expect(resumed(fleet)).toBe(0);
    expect(runView(fleet.state, [], 0).detail).toContain("40 steps of work are lost");
  });

  test("goes on from the newest step that all have on their disks, when nobody has anything in memory", () => {
    const fleet = training(3, { steps: null, checkpointEverySteps: 1000 });
    fleet.diskEverySteps = 16;
    run(fleet, 46);
    expect(runView(fleet.state, [], 0)).toMatchObject({ step: 46, keptStep: 32 });
    fleet.restart();
    for (const number of [0, 1, 2]) fleet.join(number);
    expect(runView(fleet.state, [], 0).keptStep).toBe(32);
    fleet.tick(SETTLE_MS);
    expect(resumed(fleet)).toBe(32);
    expect(runView(fleet.state, [], 0).detail).toContain("14 steps of work are lost");
  });

  test("knows that a finished run is finished", () => {
    const fleet = training();
    run(fleet, 20);
    fleet.restart();
    expect(fleet.state.phase).toBe("finished");
    fleet.join(0);
    fleet.join(1);
    fleet.join(2);
    expect(fleet.state.phase).toBe("finished");
  });
});

test("a checkpoint that turns out to be damaged is not built on again", () => {
  const fleet = training(4);
  run(fleet, 6);
  const lost = fleet.state.stages[1]?.checkpoints.get(4)?.sha256 ?? "";
  fleet.dispatch({ type: "checkpointLost", ...fleet.moment(), sha256: lost });
  const { generation } = fleet.state;
  fleet.leave(1);
  fleet.tick(6 * 100);
  expect(fleet.state).toMatchObject({ generation: generation + 1, resumeStep: 0 });
});

test("who holds a stage cannot replace a checkpoint that others can go back to, nor name one ahead of its work", () => {
  const fleet = training(4);
  run(fleet, 6);
  const { generation } = fleet.state;
  const before = fleet.state.stages[1]?.checkpoints;
  expect([...(before?.keys() ?? [])]).toEqual([4]);
  const holder = fleet.state.stages[1]?.holder;
  if (holder === null || holder === undefined) throw new Error("stage 2 has no holder");
  for (const step of [3, 4, 7, 8, 12])
    fleet.say(holder, { type: "checkpoint", generation, step, sha256: "f".repeat(64), bytes: 1 });
  expect(fleet.state.stages[1]?.checkpoints).toEqual(before);
});

test("a checkpoint that was on its way when its pipeline broke counts, where it is the state that was trained", () => {
  const fleet = training(3);
  for (let i = 0; i < 5; i++) {
    fleet.now += 100;
    fleet.work(false);
    fleet.hearAll();
  }
  const { generation } = fleet.state;
  const holder = fleet.state.stages[1]?.holder ?? testKey(0);
  fleet.say(holder, { type: "trouble", generation, code: "gradient-not-finite", message: "" });
  fleet.tick(5_000);
  expect(fleet.state).toMatchObject({ generation: generation + 1, resumeStep: 5 });
  const said = (step: number, of: number): RunMessage & { type: "checkpoint" } => ({
    type: "checkpoint",
    generation: of,
    step,
    sha256: "a".repeat(64),
    bytes: 1,
  });
  const due = checkpointDue(fleet.state, holder, said(4, generation));
  expect(due, "it is known by all that is in it").toEqual({
    stage: 1,
    digest: due?.stateSha256,
    stateSha256: fleet.state.stages[1]?.states.get(4),
  });
  expect(checkpointDue(fleet.state, holder, said(4, generation + 1)), "of what it began with").toBeNull();
  expect(checkpointDue(fleet.state, holder, said(3, generation)), "no checkpoint step").toBeNull();
  fleet.say(holder, said(4, generation));
  expect(fleet.state.stages[1]?.checkpoints.get(4)?.sha256).toBe("a".repeat(64));
  expect(checkpointDue(fleet.state, holder, said(4, generation)), "the first one stays").toBeNull();
});
