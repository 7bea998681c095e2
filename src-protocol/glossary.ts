import { phrase, say } from "./say.ts";

/** Words that the app uses and not everybody knows: one sentence each, the same in window and terminal. */
export const GLOSSARY = {
  agent: {
    word: phrase("Agent"),
    says: phrase("A program that may steer Train at Home, with a token that you gave it and can take back."),
  },
  block: {
    word: phrase("Block"),
    says: phrase(
      "A page of the chain, which comes every 12 seconds: payments are told by its number. A network without a chain counts such pages itself, as its clock.",
    ),
  },
  chain: {
    word: phrase("Chain"),
    says: phrase("Bittensor's public book, in which every payment of real units can be looked up."),
  },
  checkpoint: {
    word: phrase("Checkpoint"),
    says: phrase(
      "The state of the training, written to disk: after a pause or a power cut it goes on from there.",
    ),
  },
  claim: {
    word: phrase("Claims"),
    says: phrase(
      "Your requests to be paid what is pending, signed by your key; each receipt is paid once, however often it is asked for.",
    ),
  },
  coldkey: {
    word: phrase("Coldkey"),
    says: phrase(
      "The key that owns what was paid. Only its address is needed here; its secret belongs on paper or another device.",
    ),
  },
  computer: {
    word: phrase("Computer"),
    says: phrase(
      "Whatever takes part in a network, somebody's desk computer or a rented one; elsewhere it is called a node.",
    ),
  },
  counterSigned: {
    word: phrase("Counter-signed"),
    says: phrase(
      "Signed a second time, by the computer that used the work: one alone cannot make receipts for nothing.",
    ),
  },
  direct: {
    word: phrase("Direct"),
    says: phrase("A link straight from one computer to the other."),
  },
  heldOutLoss: {
    word: phrase("Held-out loss"),
    says: phrase(
      "The loss on text that the model never trains on: it shows whether it learns, or only remembers.",
    ),
  },
  hotkey: {
    word: phrase("Hotkey"),
    says: phrase(
      "The key that works on this computer and signs for its work. It need not own anything: what it earns can go to the address of a coldkey.",
    ),
  },
  invitation: {
    word: phrase("Invitation"),
    says: phrase("One line of text that begins with tah1, leads to a network, and lets you in."),
  },
  lease: {
    word: phrase("Lease"),
    says: phrase(
      "The time for which a piece of work is given out; who does not finish it in time loses that piece to another computer, and nothing else.",
    ),
  },
  link: {
    word: phrase("Link"),
    says: phrase("The encrypted connection to the computer that has the slice before or after yours."),
  },
  loss: {
    word: phrase("Loss"),
    says: phrase(
      "How badly the model guesses the next piece of text: 0 would be never wrong, and each 0.7 less makes it about twice as sure.",
    ),
  },
  microBatch: {
    word: phrase("Micro-batch"),
    says: phrase("A few lines of text that travel through all slices together; a step is made of several."),
  },
  neighbour: {
    word: phrase("Neighbour"),
    says: phrase(
      "The computer that has the slice before or after yours; without a network, a process on this computer that stands in for it.",
    ),
  },
  network: {
    word: phrase("Network"),
    says: phrase(
      "The computers that train one model together, with the one that gives out the work and keeps the books.",
    ),
  },
  operator: {
    word: phrase("Operator"),
    says: phrase("Whoever runs a network: invites others to it, chooses its model, and pays."),
  },
  parameters: {
    word: phrase("Parameters"),
    says: phrase(
      "The numbers that a model consists of; training changes each of them a little, step by step.",
    ),
  },
  payoutAddress: {
    word: phrase("Payout address"),
    says: phrase("Where your claims are paid to; your hotkey itself, until you name a coldkey's address."),
  },
  pending: {
    word: phrase("Pending"),
    says: phrase("Earned by work that is counter-signed, and not claimed yet."),
  },
  punched: {
    word: phrase("Direct, through both routers"),
    says: phrase(
      "A direct link that both routers let through because both sides knocked at once (punched); no port of yours is opened for others.",
    ),
  },
  receipt: {
    word: phrase("Receipt"),
    says: phrase("The signed record of one piece of work: what it was, who did it, and who used it."),
  },
  relayed: {
    word: phrase("Relayed"),
    says: phrase(
      "A link over the network's own relay, where the routers let no direct one through; the relay cannot read what it passes on.",
    ),
  },
  replica: {
    word: phrase("Replica"),
    says: phrase("One of several computers that hold the same slice; when one leaves, the others go on."),
  },
  slice: {
    word: phrase("Slice"),
    says: phrase(
      "A part of the model, small enough for one computer to hold and train; all slices together are the model.",
    ),
  },
  step: {
    word: phrase("Step"),
    says: phrase("One small improvement of the whole model, after a few micro-batches went through it."),
  },
  testUnits: {
    word: phrase("Test units"),
    says: phrase("What a network pays for trying it out: counted and signed like money, and worth nothing."),
  },
  token: {
    word: phrase("Token"),
    says: phrase(
      "A piece of text of a few letters, the unit in which models read. (A token for a program is something else: a key to this app.)",
    ),
  },
} as const satisfies Record<string, { word: string; says: string }>;
export type Term = keyof typeof GLOSSARY;

export interface Explained {
  readonly word: string;
  readonly says: string;
}

/** All of them in the reader's language, by the alphabet of that language. */
export function explained(locale: string): Explained[] {
  return Object.values(GLOSSARY)
    .map(({ word, says }) => ({ word: say(word), says: say(says) }))
    .sort((one, other) => one.word.localeCompare(other.word, locale));
}

/** Those whose word has these letters in it, whatever the capitals; one that is meant exactly comes alone. */
export function found(words: readonly Explained[], asked: string): Explained[] {
  const letters = plain(asked);
  const exact = words.filter(({ word }) => plain(word) === letters);
  return exact.length > 0 ? exact : words.filter(({ word }) => plain(word).includes(letters));
}

/** Without capitals, and one thing as several. */
function plain(text: string): string {
  return text.trim().toLocaleLowerCase().replace(/s$/, "");
}
