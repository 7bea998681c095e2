/** The one channel between page and shell. No schemas here: the preload script is bundled from this. */
export const CHANNEL = "train-at-home";
/** The preload script's first word: it wants to know whether the daemon is connected. */
export const HELLO = "hello";
