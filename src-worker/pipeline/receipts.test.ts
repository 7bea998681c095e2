import { describe, expect, it } from "vitest";
import type { PeerMessage } from "../../src-protocol/peer.ts";
import { receiptText } from "../../src-protocol/receipt.ts";
import { createSessionSigner, sha256, verifySession } from "../../src-protocol/signing.ts";
import { ReceiptBook } from "./receipts.ts";
import type { Neighbour } from "./receipts.ts";

const signers = [1, 2, 3].map((seed) => createSessionSigner(new Uint8Array(32).fill(seed)));
const digest = (name: string): string => sha256(name);
const never = new Promise<never>(() => undefined);

type Request = Extract<PeerMessage, { type: "receipt" }>;

/** The books of three stages, each message delivered at once or held back. */
class Books {
  readonly books: ReceiptBook[];
  readonly held: { from: number; to: number; message: PeerMessage }[] = [];

  constructor() {
    this.books = signers.map(
      (signer, stage) =>
        new ReceiptBook({
          signer,
          network: "n",
          runId: "r",
          stage,
          tokens: 32,
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

  deliver(change: (request: Request) => Request = (request) => request): void {
    for (const { from, to, message } of this.held.splice(0)) {
      const side: Neighbour = from > to ? "next" : "previous";
      if (message.type === "receipt") this.book(to).asked(side, change(message));
      else if (message.type === "counterSignature") this.book(to).counterSigned(message);
    }
  }
}

/** Stage 1 has received x0 and sent y1, received dy1 and sent dx1; its neighbours saw the same. */
function middleWorked(books: Books): void {
  books.book(1).note(4, 0, { x: digest("x"), y: digest("y"), dy: digest("dy"), dx: digest("dx") });
  books.book(1).worked(4, 0);
}

describe("a receipt", () => {
  it("is counter-signed by the stage that used the gradient, and verifies", async () => {
    const books = new Books();
    books.book(0).note(4, 0, { y: digest("x"), dy: digest("dx") });
    middleWorked(books);
    books.deliver();
    books.deliver();
    const [receipt] = await books.book(1).collect(4, never);
    if (receipt === undefined) throw new Error("no receipt");
    const { body, workerSignature, consumerSignature } = receipt;
    expect(body).toMatchObject({
      stage: 1,
      step: 4,
      microBatch: 0,
      inputSha256: digest("x"),
      outputSha256: digest("dx"),
    });
    expect(body.consumer).toBe(signers[0]?.publicKey);
    expect(verifySession(body.worker, receiptText(body), workerSignature)).toBe(true);
    expect(verifySession(body.consumer, receiptText(body), consumerSignature)).toBe(true);
  });

  it("of the head is counter-signed by the stage that used its activations", async () => {
    const books = new Books();
    books.book(1).note(0, 2, { x: digest("y0") });
    books.book(0).note(0, 2, { y: digest("y0"), dy: digest("dy") });
    books.book(0).worked(0, 2);
    books.deliver();
    books.deliver();
    const [receipt] = await books.book(0).collect(0, never);
    expect(receipt?.body).toMatchObject({ stage: 0, inputSha256: null, outputSha256: digest("y0") });
  });

  it("that overtakes its tensor is answered when the tensor has been used", async () => {
    const books = new Books();
    middleWorked(books);
    books.deliver();
    expect(books.held).toEqual([]);
    books.book(0).note(4, 0, { y: digest("x") });
    expect(books.held).toEqual([]);
    books.book(0).note(4, 0, { dy: digest("dx") });
    books.deliver();
    expect(await books.book(1).collect(4, never)).toHaveLength(1);
  });

  it.each([
    ["names an output that was not used", { outputSha256: digest("other") }],
    ["names an input that was not sent", { inputSha256: digest("other") }],
    ["claims more tokens than a micro-batch has", { tokens: 33 }],
    ["is about another stage", { stage: 2 }],
    ["is about another run", { runId: "other" }],
    ["is somebody else's work", { worker: signers[2]?.publicKey }],
  ])("that %s gets no signature", async (_, change) => {
    const books = new Books();
    books.book(0).note(4, 0, { y: digest("x"), dy: digest("dx") });
    middleWorked(books);
    books.deliver((request) => {
      const body = { ...request.body, ...change } as Request["body"];
      return { ...request, body, workerSignature: signers[1]?.sign(receiptText(body)) ?? "" };
    });
    expect(books.held).toEqual([]);
    expect(await books.book(1).collect(4, Promise.resolve())).toEqual([]);
  });

  it("whose counter-signature is forged is not taken for earned", async () => {
    const books = new Books();
    middleWorked(books);
    const asked = books.held[0]?.message;
    if (asked?.type !== "receipt") throw new Error("no request");
    const consumerSignature = signers[2]?.sign(receiptText(asked.body)) ?? "";
    books.book(1).counterSigned({
      type: "counterSignature",
      receiptId: sha256(receiptText(asked.body)),
      consumerSignature,
    });
    expect(await books.book(1).collect(4, Promise.resolve())).toEqual([]);
  });
});
