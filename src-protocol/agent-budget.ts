import { z } from "zod";

/** What a token may ask for: an agent in a loop must not wear out a computer or its owner. */
export const agentBudget = z.strictObject({
  /** Pauses, starts and other changes. */
  callsPerHour: z.int().min(1).max(3600),
  /** Of work that it started itself, by the day of the computer's calendar. */
  minutesPerDay: z.int().min(0).max(1440),
});
export type AgentBudget = z.infer<typeof agentBudget>;
export const DEFAULT_AGENT_BUDGET: AgentBudget = { callsPerHour: 30, minutesPerDay: 720 };
