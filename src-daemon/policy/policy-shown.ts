import type { DaemonState } from "../../src-protocol/state.ts";
import { awakeText, type KeepAwake } from "../awake/keep-awake.ts";
import type { PolicyKeeper } from "./policy-keeper.ts";

type Shown = Pick<
  PolicyKeeper,
  "decision" | "rules" | "override" | "zone" | "limits" | "missing" | "onMains"
>;

/** Idle sleep is held off only while it works on mains: a laptop on battery may always sleep. */
export function wantsAwake({
  decision,
  rules,
  onMains,
}: Pick<Shown, "decision" | "rules" | "onMains">): boolean {
  return rules.keepAwake && decision.action === "run" && onMains;
}

/** The policy as the state tree shows it. */
export function policyShown(
  policy: Shown,
  awake: Pick<KeepAwake, "held" | "refusal">,
  sandbox: string,
  platform: NodeJS.Platform = process.platform,
): Pick<DaemonState, "decision" | "rules" | "override" | "policy"> {
  const { decision, rules, override, zone, limits, missing } = policy;
  const wanted = wantsAwake(policy);
  return {
    decision,
    rules,
    override,
    policy: {
      zone,
      limits,
      missing: [...missing],
      awake: { wanted, held: awake.held, text: awakeText(wanted, awake.held, awake.refusal, platform) },
      sandbox,
    },
  };
}
