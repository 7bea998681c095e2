import { describe, expect, it } from "vitest";
import type { Restorable } from "../../src-protocol/control.ts";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import { apply, nextWake } from "../runs/network.ts";
import { runView } from "../runs/run-view.ts";
import { testHotkey } from "../runs/fleet.test-support.ts";
import { Homes, run, trained, trainedSlowly } from "./homes.test-support.ts";
import type { NetworkNode, SavedStep } from "../runs/network-state.ts";

/** What a node says that it has, when it is back. */
function restorableOf(claims: Iterable<readonly [number, readonly SavedStep[]]>): Restorable[] {
  return [...claims].map(([stage, steps]) => ({ runId: run.runId, stage, steps: [...steps] }));
}

describe("a run whose stages may have two replicas", () => {
  it("gives whoever comes the stage with the fewest, and goes on without a holder that leaves", async () => {
    const homes = new Homes();
    const keys = Array.from({ length: 5 }, () => homes.join());
    await trained(homes, 3);
    expect(homes.state.step).toBe(3);
    const { generation } = homes.state;
    const counts = [0, 1, 2].map((stage) => keys.filter((key) => homes.stageOf(key) === stage).length);
    expect(counts.toSorted()).toEqual([1, 2, 2]);
    const sixth = homes.join();
    expect(homes.stageOf(sixth)).toBe(counts.indexOf(1));
    const holder = homes.state.stages[0]?.holder ?? sixth;
    homes.leave(holder);
    expect(homes.state).toMatchObject({ phase: "training", generation });
    expect(homes.state.stages[0]?.holder).not.toBe(holder);
    expect(homes.state.stages[0]?.holder).not.toBeNull();
    const replicas = homes.effects.filter((each) => each.type === "store" && each.row.kind === "replica");
    expect(replicas).toHaveLength(3);
  });

  it("is a plain pipeline while each stage has one computer, and begins anew, once, with the first one more", async () => {
    const homes = new Homes(8);
    for (let i = 0; i < 3; i++) homes.join();
    homes.tick(5_000);
    expect(homes.state).toMatchObject({ phase: "training", team: null });
    const { generation, recoveries } = homes.state;
    const fourth = homes.join();
    expect(homes.state).toMatchObject({ generation: generation + 1, recoveries });
    expect(homes.stageOf(fourth)).toBeDefined();
    const generations = homes.effects.flatMap((each) =>
      each.type === "store" && each.row.kind === "generation" ? [each.row.isShared === true] : [],
    );
    expect(generations).toEqual([false, true]);
    homes.join();
    await trained(homes, 2);
    expect(homes.state.step).toBe(2);
    homes.leave(fourth);
    homes.join();
    expect(homes.state.generation).toBe(generation + 1);
  });

  it("says to each once who is near: no link is ended that is wanted a moment later", async () => {
    const homes = new Homes(3);
    const keys = Array.from({ length: 9 }, () => homes.join());
    await trained(homes, 2);
    const [last, ...others] = keys.filter((key) => homes.stageOf(key) === 1) as [SessionKey, ...SessionKey[]];
    for (const key of others) homes.leave(key);
    homes.leave(last);
    const late = { type: "tick", now: homes.now + 10_000, date: 0 } as const;
    const { state, effects } = apply(late, homes.state);
    const told = effects.flatMap((each) =>
      each.type === "send" && each.message.type === "members" && each.message.generation === state.generation
        ? [
            {
              to: each.to,
              near: each.message.own.length + each.message.previous.length + each.message.next.length,
            },
          ]
        : [],
    );
    expect(told.map(({ to }) => to).toSorted()).toEqual([...state.nodes.keys()].toSorted());
    expect(told.map(({ near }) => near).toSorted(), "of two, two and two").toEqual([3, 3, 3, 3, 5, 5]);
  });

  it("is formed once after a start, of all who come back together", () => {
    const homes = new Homes(
      2,
      Array.from({ length: 6 }, (_, at) => testHotkey(at + 1)),
    );
    const keys = [homes.join(), homes.join(), homes.join(), homes.join()];
    expect(homes.state.phase).toBe("waiting");
    expect(nextWake(homes.state)).not.toBeNull();
    keys.push(homes.join(), homes.join());
    homes.tick(150);
    expect(homes.state.team).not.toBeNull();
    const sent = homes.sent.filter(({ message }) => message.type === "assign");
    expect(sent.map(({ to }) => to).toSorted()).toEqual(keys.toSorted());
  });

  describe("whose stage has lost its last replica, and with it steps that nobody else has", () => {
    const LOST = 6;

    async function bereft(): Promise<{
      homes: Homes;
      restorable: Restorable[];
      generation: number;
      stage: number;
    }> {
      const homes = new Homes();
      for (let i = 0; i < 4; i++) homes.join();
      await trainedSlowly(homes, LOST, 1_500);
      const { generation, stages, nodes } = homes.state;
      const alone = [0, 1, 2].find(
        (stage) => homes.signers.filter(({ publicKey }) => homes.stageOf(publicKey) === stage).length === 1,
      );
      const last = stages[alone ?? 0]?.holder as SessionKey;
      const claims = [...(nodes.get(last)?.claims ?? [])];
      homes.leave(last);
      return { homes, restorable: restorableOf(claims), generation, stage: alone ?? 0 };
    }

    it("stands by for a moment, and goes on in the same step as soon as one is there that has its state", async () => {
      const { homes, restorable, generation, stage } = await bereft();
      expect(homes.state).toMatchObject({ phase: "training", generation });
      expect(homes.sent.filter(({ message }) => message.type === "halt")).toEqual([]);
      expect(runView(homes.state, [], 0).detail).toContain(`Slice ${stage + 1} has lost its computers`);
      const back = homes.join({ restorable });
      const assign = homes.sent.findLast(({ to, message }) => to === back && message.type === "assign");
      const digest = homes.state.stages[stage]?.saves.get(LOST);
      expect(assign?.message).toMatchObject({ stage, joins: false, resumeStep: LOST, resumeDigest: digest });
      expect(homes.state.stages[stage]?.holder).toBe(back);
      expect(runView(homes.state, [], 0).detail).toBe("Training: step 7.");
      await trained(homes, 8);
      expect(homes.state).toMatchObject({ generation, step: 8, phase: "training" });
    });

    describe("as the others take a step", () => {
      /** `hasTaken`: the stage had taken it too, and another one has not. */
      async function bereftAsTaken({ hasTaken = false } = {}): Promise<{
        homes: Homes;
        back: () => SessionKey;
        generation: number;
        stage: number;
      }> {
        const homes = new Homes();
        for (let i = 0; i < 4; i++) homes.join();
        await trainedSlowly(homes, LOST, 1_500);
        const { generation, stages } = homes.state;
        const stage = [0, 1, 2].find(
          (each) => homes.signers.filter(({ publicKey }) => homes.stageOf(publicKey) === each).length === 1,
        ) as number;
        homes.takesNot = hasTaken ? (stage + 1) % 3 : stage;
        await trained(homes, LOST + 1);
        expect(homes.state.team?.run).toMatchObject({ step: LOST, book: { isTaken: true } });
        const last = stages[stage]?.holder as SessionKey;
        const { claims, hotkey } = homes.state.nodes.get(last) as NetworkNode;
        homes.leave(last);
        homes.takesNot = hasTaken ? homes.takesNot : null;
        const restorable = restorableOf(claims);
        return { homes, back: () => homes.join({ restorable, hotkey }), generation, stage };
      }

      it("waits too, and goes on when one has its state and its sum, however long that took it", async () => {
        const { homes, back, generation, stage } = await bereftAsTaken();
        expect(homes.state).toMatchObject({ phase: "training", generation, step: LOST });
        homes.sumRound = homes.state.team?.run?.round ?? null;
        homes.tick(3_000);
        const key = back();
        expect(homes.state).toMatchObject({ phase: "training", generation, step: LOST + 1 });
        expect(homes.state.stages[stage]?.holder).toBe(key);
        await trained(homes, LOST + 3);
        expect(homes.state).toMatchObject({ generation, step: LOST + 3 });
        expect(homes.state.team?.run?.redone).toEqual({ byLostStages: 0, byOthers: 0 });
      });

      it.each([
        ["none", null],
        ["that of another round", 1_000],
      ])("goes back with all when whoever comes back has of sums %s", async (_, round) => {
        const { homes, back, generation } = await bereftAsTaken();
        homes.sumRound = round;
        homes.tick(1_000);
        expect(homes.state.generation).toBe(generation);
        back();
        expect(homes.state.team?.bare.size).toBe(0);
        expect(homes.state).toMatchObject({ generation: generation + 1, step: LOST, resumeStep: LOST });
        await trained(homes, LOST + 2);
        expect(homes.state).toMatchObject({ generation: generation + 1, step: LOST + 2 });
      });

      it("waits for one that has the sum, though another one is there without it", async () => {
        const { homes, back, generation } = await bereftAsTaken();
        const gone = [...homes.state.gone.values()].map(({ node }) => node);
        const [{ claims } = { claims: new Map() }] = gone;
        const restorable = restorableOf(claims);
        homes.join({ restorable });
        expect(homes.state).toMatchObject({ generation, step: LOST });
        homes.sumRound = homes.state.team?.run?.round ?? null;
        back();
        expect(homes.state).toMatchObject({ generation, step: LOST + 1 });
      });

      it.each([
        ["before", (homes: Homes) => homes.tick(1), true],
        ["before, and these take long for it,", (homes: Homes) => homes.tick(8_000), true],
        ["after", (homes: Homes) => homes.tick(1), false],
      ] as const)(
        "takes part in the next step where it had taken this one, and is back %s the others have",
        async (_, pass, isBefore) => {
          const { homes, back, generation, stage } = await bereftAsTaken({ hasTaken: true });
          expect(homes.state).toMatchObject({ phase: "training", generation, step: LOST });
          let key = isBefore ? back() : null;
          expect(homes.state.team?.run?.book.stages[stage]?.live.size).toBe(0);
          pass(homes);
          const late = homes.takesNot as number;
          homes.takesNot = null;
          const digest = sha256(`state ${late} ${LOST + 1}`);
          const saved = { step: LOST + 1, digest, link: digest, stateSha256: digest };
          for (const sessionKey of homes.state.team?.run?.book.stages[late]?.live ?? [])
            homes.dispatch({ type: "message", sessionKey, message: { type: "saved", generation, ...saved } });
          expect(homes.state).toMatchObject({ phase: "training", generation, step: LOST + 1 });
          const places = homes.signers.map(({ publicKey }) => homes.stageOf(publicKey));
          homes.tick(3_000);
          key ??= back();
          const assign = homes.sent.findLast(({ to, message }) => to === key && message.type === "assign");
          expect(assign?.message).toMatchObject({ stage, joins: false, resumeStep: LOST + 1 });
          await trained(homes, LOST + 3);
          expect(homes.state).toMatchObject({ generation, step: LOST + 3 });
          const now = homes.signers.map(({ publicKey }) => homes.stageOf(publicKey));
          expect(now.slice(0, places.length), "nobody was moved for it").toEqual(places);
        },
      );
    });

    it("does not wait for who has left on purpose", async () => {
      const homes = new Homes();
      for (let i = 0; i < 4; i++) homes.join();
      await trainedSlowly(homes, LOST, 1_500);
      for (const { publicKey } of homes.signers)
        homes.dispatch({ type: "left", sessionKey: publicKey, cause: "drained" });
      expect(homes.state.phase).toBe("waiting");
    });

    it("does not give it to who has another state, or only says to have this one", async () => {
      const { homes, restorable, generation, stage } = await bereft();
      const other = restorable.map(({ runId, steps }) => ({
        runId,
        stage,
        steps: steps.map(({ step }) => ({ step, digest: "0".repeat(64) })),
      }));
      const stranger = homes.join({ restorable: other });
      expect(homes.stageOf(stranger)).toBe(stage);
      homes.dispatch({
        type: "message",
        sessionKey: stranger,
        message: { type: "ready", generation, step: LOST },
      });
      expect(homes.state.team?.run?.members.get(stranger)?.phase).toBe("warm");
      expect(homes.state.team?.run?.book.stages[stage]?.live.size).toBe(0);
    });

    it("tells nobody a second time to load what it could not load", async () => {
      const { homes, restorable, generation, stage } = await bereft();
      const told = (to: SessionKey): unknown[] =>
        homes.sent.filter((sent) => sent.to === to && sent.message.type === "assign");
      homes.deaf = true;
      const back = homes.join({ restorable });
      const message = { type: "trouble", generation, code: "snapshot-damaged", message: "It is damaged." };
      homes.dispatch({ type: "message", sessionKey: back, message });
      expect(told(back).map((each) => (each as { message: { joins: boolean } }).message.joins)).toEqual([
        false,
        true,
      ]);
      expect(homes.state.team?.run?.book.stages[stage]?.live.size).toBe(0);
    });

    it("waits longer for it where much would be lost, though there are computers enough, and goes on with all of them when it is back", async () => {
      const { homes, restorable, generation } = await bereft();
      homes.tick((nextWake(homes.state) ?? 0) - homes.now);
      expect(homes.state).toMatchObject({ phase: "waiting", wouldLose: LOST, generation });
      expect(runView(homes.state, [], 0).detail).toContain("without it, 6 steps would be lost");
      homes.join({ restorable });
      expect(homes.state).toMatchObject({ generation: generation + 1, resumeStep: LOST, wouldLose: 0 });
    });

    it("goes on without it when it stays away, and says what that costs", async () => {
      const { homes, generation } = await bereft();
      homes.tick((nextWake(homes.state) ?? 0) - homes.now);
      homes.tick((nextWake(homes.state) ?? 0) - homes.now);
      expect(homes.state).toMatchObject({ generation: generation + 1, resumeStep: 0 });
      expect(
        homes.sent.filter(({ message }) => message.type === "assign" && message.generation > generation),
      ).toHaveLength(3);
      expect(runView(homes.state, [], 0).detail).not.toContain("Waiting");
    });
  });

  it("is formed more and more slowly when all replicas of a slice fail in each of them", async () => {
    const homes = new Homes();
    for (let i = 0; i < 4; i++) homes.join();
    await trained(homes, 3);
    const pauses: number[] = [];
    for (let i = 0; i < 16; i++) {
      const { generation, team } = homes.state;
      for (const [sessionKey, { stage }] of team?.run?.members ?? []) {
        const message = { type: "trouble", generation, code: "gradient-not-finite", message: "" };
        if (stage === 1) homes.dispatch({ type: "message", sessionKey, message });
      }
      if (homes.state.phase !== "waiting") continue;
      pauses.push((nextWake(homes.state) ?? 0) - homes.now);
      homes.tick(pauses.at(-1) ?? 0);
    }
    expect(pauses.map((ms) => Math.round(ms / 1000))).toEqual([10, 20, 40, 80]);
  });

  it("moves a node from a rich stage to one that has lost its own, and nobody does anything twice", async () => {
    const homes = new Homes(4);
    const keys = Array.from({ length: 12 }, () => homes.join());
    await trained(homes, 3);
    const { generation, recoveries } = homes.state;
    const at = (stage: number): SessionKey[] =>
      keys.filter((key) => homes.state.nodes.has(key) && homes.stageOf(key) === stage);
    for (const key of at(1).slice(1)) homes.leave(key);
    expect([0, 1, 2].map((stage) => at(stage).length)).toEqual([4, 1, 4]);
    await trained(homes, 4);
    const counts = [0, 1, 2].map((stage) => at(stage).length);
    expect(counts[1]).toBe(2);
    expect(counts.toSorted()).toEqual([2, 3, 4]);
    await trained(homes, 5);
    expect(
      [0, 1, 2].map((stage) => at(stage).length),
      "one a minute",
    ).toEqual(counts);
    expect(homes.state.step).toBe(5);
    expect(homes.state).toMatchObject({ phase: "training", generation, lastTrouble: null });
    expect(homes.state.recoveries, "of those that left; a move is none").toBe(recoveries + 1);
    expect(homes.state.team?.run?.redone.byOthers).toBe(0);
    const phases = [...(homes.state.team?.run?.members.values() ?? [])].map(({ phase }) => phase);
    expect(new Set(phases)).toEqual(new Set(["live"]));
  });

  it.each([0, 1, 2])(
    "gives nothing of a step to a head that moves as it opens, if the one that asks first is number %i",
    async (first) => {
      const homes = new Homes(3);
      const keys = Array.from({ length: 7 }, () => homes.join());
      await trained(homes, 3);
      const at = (stage: number): SessionKey[] => keys.filter((key) => homes.stageOf(key) === stage);
      // Only the first stage can spare anybody.
      expect([at(0).length, at(1).length, at(2).length]).toEqual([3, 2, 2]);
      homes.leave(at(1)[0] as SessionKey);
      // Nothing more of this step can be given: it is the next one that they ask for.
      const asking = new Set([...at(0).slice(first), ...at(0).slice(0, first)]);
      const { state } = homes;
      const run = state.team?.run;
      if (run) homes.state = { ...state, team: { ...state.team, run: { ...run, asking } } };
      await trained(homes, 4);
      const [moved] = homes.sent.flatMap(({ message }) =>
        message.type === "fenced" && message.code === "moved" ? [message] : [],
      );
      expect(moved?.step).toBe(4);
      expect(homes.stageOf(moved?.replica as SessionKey)).toBe(1);
      const leases = homes.sent.filter(({ message }) => message.type === "lease" && message.step === 4);
      expect(leases.map(({ to }) => to)).not.toContain(moved?.replica);
      expect(leases, "all of it is given once").toHaveLength(2);
    },
  );

  it("has somebody else on a stage before its only holder ends as it has said, and loses nothing with it", async () => {
    const homes = new Homes(4);
    const keys = Array.from({ length: 5 }, () => homes.join());
    await trained(homes, 3);
    const at = (stage: number): SessionKey[] => keys.filter((key) => homes.stageOf(key) === stage);
    const alone = [0, 1, 2].find((stage) => at(stage).length === 1) ?? 0;
    const [last] = at(alone);
    homes.says(last as SessionKey, 4 * 60_000);
    await trained(homes, 4);
    expect(at(alone), "somebody of a stage that has two").toHaveLength(2);
    await trained(homes, 5);
    const { recoveries, generation } = homes.state;
    expect(homes.state.team?.run?.leaving.size).toBe(0);
    homes.says(last as SessionKey, 9_000);
    expect(homes.state.team?.run?.leaving).toEqual(new Set([last]));
    const told = homes.effects.flatMap((each) =>
      each.type === "send" && each.message.type === "members" ? [{ to: each.to, ...each.message }] : [],
    );
    expect(told.findLast(({ to }) => to === last)?.leaving, "it knows that others go on").toBe(true);
    expect(told.findLast(({ to }) => to !== last)?.leaving).toBeUndefined();
    // It finishes the step that had begun, and has no part in the next one.
    await trained(homes, 7);
    const shares = homes.effects.flatMap((each) =>
      each.type === "store" && each.row.kind === "shares" && each.row.step === 6 ? each.row.stages : [],
    );
    expect(shares.flat().map(({ replica }) => replica)).not.toContain(last);
    homes.dispatch({ type: "left", sessionKey: last, cause: "drained" });
    await trained(homes, 8);
    expect(homes.state).toMatchObject({ step: 8, generation, recoveries });
    expect(homes.state.team?.run?.redone).toEqual({ byLostStages: 0, byOthers: 0 });
  });
});
