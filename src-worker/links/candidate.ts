import type { Link } from "./link.ts";

/** A path to a peer that is open and not used yet: dials race, and one is chosen. */
export interface Candidate {
  /** Makes it the link: only now does the peer hear of it. Rejects with a Failure when the peer is not whom we mean. */
  choose(): Promise<Link>;
  /** What it knows of why its path is no better; asked while the link lives. */
  readonly why?: () => string | null;
  /** Another path was better. */
  drop(): void;
}
