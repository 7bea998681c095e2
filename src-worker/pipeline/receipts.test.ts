import { describe, expect, it } from "vitest";
import type { PeerMessage } from "../../src-protocol/peer.ts";
import { ReceiptChain, receiptText } from "../../src-protocol/receipt.ts";
import type { SignedReceipt } from "../../src-protocol/receipt.ts";
import { createSessionSigner, sha256, tensorsDigest, verifySession } from "../../src-protocol/signing.ts";
import { ReceiptBook } from "./receipts.ts";
import type { Neighbour } from "./receipts.ts";

const signers = [1, 2, 3].map((seed) => createSessionSigner(new Uint8Array(32).fill(seed)));
const digest = (name: string): string => sha256(name);
const both = (name: string): string => tensorsDigest([digest(`${name}0`), digest(`${name}1`)]);
const link = (step: number): string => digest(`link ${step}`);
const never = new Promise<never>(() => undefined);

type Request = Extract<PeerMessage, { type: "receipt" }>;

/** The books of three stages with two micro-batches a step, each message delivered at once or held back. */
class Books {
  readonly books: ReceiptBook[];
  readonly held: { from: number; to: number; message: PeerMessage }[] = [];

  constructor() {
    this.books = signers.map(
      (signer, stage) =>
        new ReceiptBook({
          signer,
          chain: new ReceiptChain(),
          network: "n",
          runId: "r",
          stage,
          microBatches: 2,
          tokens: 32,
          flops: 1_000,
          peers: {
            previous: signers[stage - 1]?.publicKey ?? null,
            next: signers[stage + 1]?.publicKey ?? null,
          },
          send: (to, message) =>
            this.held.push({ from: stage, to: stage + (to === "next" ? 1 : -1), message }),
          now: () => 1_700_000_000_000,
        }),
    );
  }

  book(stage: number): ReceiptBook {
    const book = this.books[stage];
    if (book === undefined) throw new Error(`no stage ${stage}`);
    return book;
  }

  /** What is under way now, and what it leads to, but for what goes to the stages of `lost`. */
  deliver({ lost = [] as number[], change = (request: Request): Request => request } = {}): void {
    while (this.held.length > 0) {
      for (const { from, to, message } of this.held.splice(0)) {
        const side: Neighbour = from > to ? "next" : "previous";
        if (lost.includes(to)) continue;
        if (message.type === "receipt") this.book(to).asked(side, change(message));
        else if (message.type === "counterSignature") this.book(to).counterSigned(side, message);
      }
    }
  }
}

/** Step 4 in all three stages: tensors cross both borders, both ways, for both micro-batches. */
function crossed(books: Books, stages = [0, 1, 2], microBatches = [0, 1]): void {
  for (const i of microBatches) {
    const [y0, y1, dx1, dx2] = ["y0", "y1", "dx1", "dx2"].map((name) => digest(`${name}${i}`));
    if (stages.includes(0)) books.book(0).note(4, i, { y: y0 ?? "", dy: dx1 ?? "" });
    if (stages.includes(1))
      books.book(1).note(4, i, { x: y0 ?? "", y: y1 ?? "", dy: dx2 ?? "", dx: dx1 ?? "" });
    if (stages.includes(2)) books.book(2).note(4, i, { x: y1 ?? "", dx: dx2 ?? "" });
  }
}

function worked(books: Books, stage: number, count = 2): void {
  books.book(stage).linked(4, link(4));
  for (let i = 0; i < count; i++) books.book(stage).worked(4);
}

function isSigned({ body, ...signatures }: SignedReceipt): boolean {
  const text = receiptText(body);
  return (
    verifySession(body.worker, text, signatures.workerSignature) &&
    (["previous", "next"] as const).every((side) => {
      const [key, signature] = [body[side], signatures[`${side}Signature`]];
      return key === null ? signature === null : verifySession(key, text, signature ?? "");
    })
  );
}

describe("a receipt", () => {
  it("is one for a stage and a step, names the chain, and is counter-signed by all who used the work", async () => {
    const books = new Books();
    crossed(books);
    for (const stage of [0, 1, 2]) worked(books, stage);
    books.deliver();
    const receipts = await Promise.all([0, 1, 2].map((stage) => books.book(stage).collect(4, never)));
    expect(receipts.map(({ length }) => length)).toEqual([1, 1, 1]);
    expect(receipts.flat().every(isSigned)).toBe(true);
    expect(receipts[1]?.[0]?.body).toMatchObject({
      stage: 1,
      step: 4,
      microBatches: 2,
      tokens: 64,
      flops: 1_000,
      previous: signers[0]?.publicKey,
      next: signers[2]?.publicKey,
      x: both("y0"),
      y: both("y1"),
      dy: both("dx2"),
      dx: both("dx1"),
      link: link(4),
    });
    expect(receipts[0]?.[0]?.body).toMatchObject({ previous: null, x: null, dx: null, y: both("y0") });
    expect(receipts[2]?.[0]?.body).toMatchObject({ next: null, y: null, dy: null, dx: both("dx2") });
  });

  it("waits for the last micro-batch, and for the link of the parameters it was worked with", () => {
    const books = new Books();
    crossed(books);
    books.book(1).worked(4);
    books.book(1).linked(4, link(4));
    expect(books.held).toEqual([]);
    books.book(1).worked(4);
    expect(books.held).toHaveLength(2);
  });

  it("that overtakes its tensors is answered when they have been used", async () => {
    const books = new Books();
    crossed(books, [1, 2]);
    worked(books, 1);
    books.deliver();
    crossed(books, [0], [0]);
    expect(books.held).toEqual([]);
    crossed(books, [0], [1]);
    books.deliver();
    expect(await books.book(1).collect(4, never)).toHaveLength(1);
  });

  it("of which one peer does not answer is earned with the other's signature alone", async () => {
    const books = new Books();
    crossed(books);
    worked(books, 1);
    books.deliver({ lost: [2] });
    const [receipt] = await books.book(1).collect(4, Promise.resolve());
    expect(receipt?.previousSignature).not.toBeNull();
    expect(receipt?.nextSignature).toBeNull();
  });

  it("that nobody has signed in time comes with a later step when a peer that was stopped signs it", async () => {
    const books = new Books();
    crossed(books);
    worked(books, 1);
    const asked = books.held.splice(0);
    expect(await books.book(1).collect(4, Promise.resolve())).toEqual([]);
    // Nothing waits for it a second time.
    expect(await books.book(1).collect(5, never)).toEqual([]);
    books.held.push(...asked);
    books.deliver();
    expect((await books.book(1).collect(6, never)).map(({ body }) => body.step)).toEqual([4]);
  });

  it.each([
    ["names an output that was not used", { dx: digest("other"), y: digest("other") }],
    ["names an input that was not sent", { x: digest("other"), dy: digest("other") }],
    ["claims more micro-batches than the step has", { microBatches: 3 }],
    ["claims more tokens than its micro-batches have", { tokens: 65 }],
    ["is about another stage", { stage: 2 }],
    ["is about another run", { runId: "other" }],
    ["is somebody else's work", { worker: signers[2]?.publicKey }],
  ])("that %s gets no signature", async (_, changed) => {
    const books = new Books();
    crossed(books);
    worked(books, 1);
    books.deliver({
      change: (request) => {
        const body = { ...request.body, ...changed } as Request["body"];
        return { ...request, body, workerSignature: signers[1]?.sign(receiptText(body)) ?? "" };
      },
    });
    expect(await books.book(1).collect(4, Promise.resolve())).toEqual([]);
  });

  it("whose counter-signatures are forged is not taken for earned", async () => {
    const books = new Books();
    crossed(books);
    worked(books, 1);
    const asked = books.held[0]?.message;
    if (asked?.type !== "receipt") throw new Error("no request");
    const signature = signers[2]?.sign(receiptText(asked.body)) ?? "";
    const receiptId = sha256(receiptText(asked.body));
    books.book(1).counterSigned("previous", { type: "counterSignature", receiptId, signature });
    expect(await books.book(1).collect(4, Promise.resolve())).toEqual([]);
  });
});
