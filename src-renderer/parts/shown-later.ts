import { phrase } from "../../src-protocol/say.ts";

/** Of a table that was never read. */
export const SHOWN_LATER = phrase("Shown as soon as the connection is back.");
