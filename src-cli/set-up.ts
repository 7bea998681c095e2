import { Failure } from "../src-protocol/failure.ts";
import { ALWAYS, type Decision, ONLY_WHEN_ASLEEP } from "../src-protocol/policy.ts";
import { explain } from "../src-protocol/reason-text.ts";
import type { ApiClient } from "./api-client.ts";

const PROMISE = `It trains one slice of a model, when your rules allow it; a pause is always one command away.
It never reads your files, opens no port in your router, and sends no statistics about you.
It begins on this computer alone, for test units that are worth nothing; \`tah join\` joins a network.`;

export interface FirstYes {
  readonly yes: boolean;
  readonly asleep: boolean;
  /** Null: there is nobody to ask. */
  readonly ask: (() => Promise<boolean>) | null;
  show(text: string): void;
}

/** Says what it will do, asks, and begins. Throws `consent-needed` and `consent-refused`. */
export async function setUp(
  client: Pick<ApiClient, "call">,
  { yes, asleep, ask, show }: FirstYes,
): Promise<{ decision: Decision; text: string }> {
  const { decision: now } = await client.call("state.get", {});
  if (!now.reasons.includes("not-set-up"))
    return { decision: now, text: `It is set up already. ${explain(now, Date.now())}` };
  show(PROMISE);
  if (!yes && ask === null)
    throw new Failure(
      "consent-needed",
      "Nothing has begun: a yes is needed first. Say it with --yes, or run this in a terminal.",
    );
  if (!yes && ask !== null && !(await ask()))
    throw new Failure("consent-refused", "Nothing has begun, and nothing was changed.");
  const rules = asleep ? ONLY_WHEN_ASLEEP : ALWAYS;
  const decision = await client.call("setup.begin", { rules, invitation: null, consent: true });
  return { decision, text: explain(decision, Date.now()) };
}
