/** What a node says of its stage when a step is saved, where a test does not look at it. */
export const SAVED_STATE = { digest: "0".repeat(64), link: "1".repeat(64), stateSha256: null };
