/**
 * Tables of `orchestrator.db`; `PRAGMA user_version` says which of these steps have been taken.
 * Amounts are whole rao in 64-bit integers and are read as `bigint`. A receipt's text is rebuilt from
 * its columns. `chain(id)` is an aggregate: the `statementId` of the receipts in their order.
 */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

  CREATE TABLE runs (
    runId TEXT PRIMARY KEY,
    spec TEXT NOT NULL,
    createdAt INTEGER NOT NULL,
    recoveries INTEGER NOT NULL DEFAULT 0,
    lastRecoveryMs INTEGER
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE generations (
    runId TEXT NOT NULL,
    generation INTEGER NOT NULL,
    resumeStep INTEGER NOT NULL,
    grantedStep INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (runId, generation)
  ) STRICT, WITHOUT ROWID;

  -- Who held which stage: what receipts are checked against.
  CREATE TABLE assignments (
    sessionKey TEXT NOT NULL,
    runId TEXT NOT NULL,
    generation INTEGER NOT NULL,
    stage INTEGER NOT NULL,
    hotkey TEXT NOT NULL,
    PRIMARY KEY (sessionKey, runId, generation)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE checkpoints (
    runId TEXT NOT NULL,
    stage INTEGER NOT NULL,
    step INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (runId, stage, step)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE points (
    runId TEXT NOT NULL,
    step INTEGER NOT NULL,
    at INTEGER NOT NULL,
    loss REAL NOT NULL,
    heldOutLoss REAL,
    tokensPerSecond REAL,
    PRIMARY KEY (runId, step)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE hotkeys (
    number INTEGER PRIMARY KEY,
    address TEXT NOT NULL UNIQUE,
    receipts INTEGER NOT NULL DEFAULT 0,
    -- Null: it is paid to itself.
    payoutColdkey TEXT
  ) STRICT;

  CREATE TABLE claims (
    claimId TEXT PRIMARY KEY,
    hotkey INTEGER NOT NULL REFERENCES hotkeys,
    text TEXT NOT NULL,
    signature TEXT NOT NULL,
    amountRao INTEGER NOT NULL CHECK (amountRao > 0),
    asset TEXT NOT NULL,
    payoutColdkey TEXT NOT NULL,
    receipts INTEGER NOT NULL,
    at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX claimsOfHotkey ON claims (hotkey, at);

  CREATE TABLE receipts (
    number INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    runId TEXT NOT NULL,
    stage INTEGER NOT NULL,
    step INTEGER NOT NULL,
    microBatch INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    worker BLOB NOT NULL,
    consumer BLOB NOT NULL,
    inputSha256 BLOB,
    outputSha256 BLOB NOT NULL,
    finishedAt INTEGER NOT NULL,
    workerSignature BLOB NOT NULL,
    consumerSignature BLOB NOT NULL,
    hotkey INTEGER NOT NULL REFERENCES hotkeys,
    amountRao INTEGER NOT NULL CHECK (amountRao >= 0),
    block INTEGER NOT NULL,
    creditedAt INTEGER NOT NULL,
    claimId TEXT REFERENCES claims,
    -- The same work is paid once, however often it was redone.
    UNIQUE (runId, stage, step, microBatch)
  ) STRICT;
  CREATE INDEX receiptsOfHotkey ON receipts (hotkey, number);
  CREATE INDEX unclaimedReceipts ON receipts (hotkey, number) WHERE claimId IS NULL;

  CREATE TABLE transfers (
    number INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('receipts', 'claim')),
    reference TEXT NOT NULL,
    at INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE entries (
    transfer INTEGER NOT NULL REFERENCES transfers,
    account TEXT NOT NULL,
    amountRao INTEGER NOT NULL,
    PRIMARY KEY (transfer, account)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE balances (account TEXT PRIMARY KEY, rao INTEGER NOT NULL) STRICT, WITHOUT ROWID;

  -- SECURITY: the ledger is only ever added to.
  CREATE TRIGGER transfersStay BEFORE UPDATE ON transfers BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
  CREATE TRIGGER transfersLast BEFORE DELETE ON transfers BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
  CREATE TRIGGER entriesStay BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
  CREATE TRIGGER entriesLast BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;

  CREATE TABLE nonces (nonce TEXT PRIMARY KEY, hotkey TEXT NOT NULL, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE uuids (uuid TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE INDEX uuidsByTime ON uuids (at);
  `,
  `
  -- With the parameters that the run began with.
  ALTER TABLE runs ADD COLUMN heldOutLossAtStart REAL;
  `,
  `
  -- What each stage has saved of steps that were granted and trained; a few slots, written over in turn.
  CREATE TABLE saves (
    runId TEXT NOT NULL,
    stage INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    step INTEGER NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (runId, stage, slot)
  ) STRICT, WITHOUT ROWID;

  -- Hotkeys that took part in work which was found good.
  CREATE TABLE trusted (runId TEXT NOT NULL, hotkey TEXT NOT NULL, PRIMARY KEY (runId, hotkey)) STRICT, WITHOUT ROWID;

  -- The newest checkpoint after which the held-out loss was no worse.
  ALTER TABLE runs ADD COLUMN provedStep INTEGER;
  ALTER TABLE runs ADD COLUMN provedLoss REAL;
  `,
  `
  -- The token of an invitation is stored nowhere: its id is made of the token's digest.
  CREATE TABLE invitations (
    id TEXT PRIMARY KEY,
    uses INTEGER NOT NULL,
    used INTEGER NOT NULL CHECK (used <= uses),
    createdAt INTEGER NOT NULL,
    -- Unix seconds.
    expiresAt INTEGER,
    revokedAt INTEGER
  ) STRICT, WITHOUT ROWID;

  -- Owners who came in, each by one invitation.
  CREATE TABLE admissions (
    hotkey TEXT PRIMARY KEY,
    invitation TEXT NOT NULL REFERENCES invitations,
    at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  `,
  `
  -- Steps below finishedStep were taken by all stages; of generations before this schema nothing more is paid.
  ALTER TABLE generations DROP COLUMN grantedStep;
  ALTER TABLE generations ADD COLUMN finishedStep INTEGER NOT NULL DEFAULT 0;
  -- Since all stages were ready, until the last of those steps.
  ALTER TABLE generations ADD COLUMN elapsedMs INTEGER NOT NULL DEFAULT 0;

  -- Receipts of one hotkey for one stage over steps without a gap, added up: what is claimed. It stays
  -- when its receipts are deleted, and its id is made of theirs.
  CREATE TABLE statements (
    number INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    runId TEXT NOT NULL,
    stage INTEGER NOT NULL,
    hotkey INTEGER NOT NULL REFERENCES hotkeys,
    fromStep INTEGER NOT NULL,
    toStep INTEGER NOT NULL CHECK (toStep >= fromStep),
    receipts INTEGER NOT NULL,
    -- Of the stage's chain at toStep; null: older than that.
    link BLOB,
    amountRao INTEGER NOT NULL CHECK (amountRao >= 0),
    fromBlock INTEGER NOT NULL,
    toBlock INTEGER NOT NULL,
    at INTEGER NOT NULL,
    claimId TEXT REFERENCES claims
  ) STRICT;
  CREATE INDEX statementsOfWork ON statements (runId, stage, toStep);
  CREATE INDEX unclaimedStatements ON statements (hotkey, number) WHERE claimId IS NULL;

  -- Receipts were one for each micro-batch. Their steps count as paid whole.
  INSERT INTO statements
    SELECT NULL, chain(id ORDER BY step, microBatch), runId, stage, hotkey, min(step), max(step), count(*), NULL,
      sum(amountRao), min(block), max(block), max(creditedAt), claimId
    FROM (SELECT *, step - dense_rank() OVER (PARTITION BY runId, stage, hotkey, claimId ORDER BY step) AS island FROM receipts)
    GROUP BY runId, stage, hotkey, claimId, island ORDER BY max(number);
  DROP TABLE receipts;

  CREATE TABLE receipts (
    number INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    runId TEXT NOT NULL,
    stage INTEGER NOT NULL,
    step INTEGER NOT NULL,
    microBatches INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    flops INTEGER NOT NULL,
    worker BLOB NOT NULL,
    previous BLOB,
    next BLOB,
    x BLOB,
    dy BLOB,
    y BLOB,
    dx BLOB,
    link BLOB NOT NULL,
    finishedAt INTEGER NOT NULL,
    workerSignature BLOB NOT NULL,
    previousSignature BLOB,
    nextSignature BLOB,
    hotkey INTEGER NOT NULL REFERENCES hotkeys,
    amountRao INTEGER NOT NULL CHECK (amountRao >= 0),
    block INTEGER NOT NULL,
    creditedAt INTEGER NOT NULL,
    -- Null: not added up yet. Then it is in no account either.
    statement INTEGER REFERENCES statements,
    -- The same work is paid once, however often it was redone.
    UNIQUE (runId, stage, step)
  ) STRICT;
  CREATE INDEX receiptsOfHotkey ON receipts (hotkey, number);
  CREATE INDEX looseReceipts ON receipts (hotkey, runId, stage, step) WHERE statement IS NULL;

  -- An entry for every message of receipts, before: one for each account that they were paid to.
  DROP TRIGGER transfersStay; DROP TRIGGER transfersLast; DROP TRIGGER entriesStay; DROP TRIGGER entriesLast;
  CREATE TABLE addedUp AS SELECT account, sum(amountRao) AS rao FROM entries
    WHERE transfer IN (SELECT number FROM transfers WHERE kind = 'receipts') GROUP BY account;
  CREATE TABLE first AS SELECT min(number) AS number, max(at) AS at FROM transfers WHERE kind = 'receipts';
  DELETE FROM entries WHERE transfer IN (SELECT number FROM transfers WHERE kind = 'receipts');
  DELETE FROM transfers WHERE kind = 'receipts';
  INSERT INTO transfers SELECT number, 'receipts', 'all before statements', at FROM first WHERE number IS NOT NULL;
  INSERT INTO entries SELECT (SELECT number FROM first), account, rao FROM addedUp;
  DROP TABLE addedUp; DROP TABLE first;
  CREATE TRIGGER transfersStay BEFORE UPDATE ON transfers BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
  CREATE TRIGGER transfersLast BEFORE DELETE ON transfers BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
  CREATE TRIGGER entriesStay BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
  CREATE TRIGGER entriesLast BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
  `,
  `
  -- The book: every row names what it rests on (a statement, a claim, a payment, a binding), moves money in
  -- postings that sum to zero, and is chained to the one before (ledger/book.ts). It is written anew from
  -- statements and claims at the first start with this schema.
  DROP TRIGGER transfersStay; DROP TRIGGER transfersLast; DROP TRIGGER entriesStay; DROP TRIGGER entriesLast;
  DROP TABLE entries;
  DROP TABLE transfers;
  CREATE TABLE book (
    number INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('statement', 'claim', 'payment', 'binding')),
    reference TEXT NOT NULL,
    at INTEGER NOT NULL,
    hash BLOB NOT NULL,
    UNIQUE (kind, reference)
  ) STRICT;
  CREATE TABLE postings (
    book INTEGER NOT NULL REFERENCES book,
    account TEXT NOT NULL,
    amountRao INTEGER NOT NULL,
    PRIMARY KEY (book, account)
  ) STRICT, WITHOUT ROWID;

  -- Receipts are chained in the order of their numbers (ledger/seals.ts); null: not sealed yet.
  ALTER TABLE receipts ADD COLUMN sequence INTEGER;
  ALTER TABLE receipts ADD COLUMN before BLOB;
  ALTER TABLE receipts ADD COLUMN raoPerTeraflop INTEGER;
  ALTER TABLE receipts ADD COLUMN seal BLOB;
  CREATE INDEX receiptsOfStatement ON receipts (statement) WHERE statement IS NOT NULL;
  -- Of receipts that were deleted after they were added up, what the chain needs to go on.
  CREATE TABLE pruned (
    fromNumber INTEGER PRIMARY KEY,
    toNumber INTEGER NOT NULL CHECK (toNumber >= fromNumber),
    before BLOB NOT NULL,
    after BLOB NOT NULL
  ) STRICT;

  ALTER TABLE claims ADD COLUMN block INTEGER NOT NULL DEFAULT 0;
  -- A sentence: why it is accepted and not paid yet.
  ALTER TABLE claims ADD COLUMN held TEXT;
  CREATE INDEX statementsOfClaim ON statements (claimId) WHERE claimId IS NOT NULL;

  CREATE TABLE payments (
    claimId TEXT PRIMARY KEY REFERENCES claims,
    block INTEGER NOT NULL,
    -- Null: of a network that keeps its own blocks.
    blockHash TEXT,
    extrinsic TEXT NOT NULL,
    -- What arrived; fees and slippage are the rest.
    creditedRao INTEGER NOT NULL CHECK (creditedRao >= 0),
    at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  -- Where a hotkey is paid to, one generation after the other.
  CREATE TABLE bindings (
    hotkey INTEGER NOT NULL REFERENCES hotkeys,
    generation INTEGER NOT NULL,
    payoutColdkey TEXT NOT NULL,
    -- The consent that the payout address's own key signed; null: the network's owner set it, on this computer.
    text TEXT,
    signature TEXT,
    at INTEGER NOT NULL,
    PRIMARY KEY (hotkey, generation)
  ) STRICT, WITHOUT ROWID;
  INSERT INTO bindings SELECT number, 1, payoutColdkey, NULL, NULL, 0 FROM hotkeys WHERE payoutColdkey IS NOT NULL;
  CREATE TABLE challenges (
    nonce TEXT PRIMARY KEY,
    hotkey TEXT NOT NULL,
    text TEXT NOT NULL,
    expiresAt INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  -- SECURITY: what money rests on is only ever added to.
  CREATE TRIGGER bookStays BEFORE UPDATE ON book BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
  CREATE TRIGGER bookLasts BEFORE DELETE ON book BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
  CREATE TRIGGER postingsStay BEFORE UPDATE ON postings BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
  CREATE TRIGGER postingsLast BEFORE DELETE ON postings BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
  CREATE TRIGGER paymentsStay BEFORE UPDATE ON payments BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
  CREATE TRIGGER paymentsLast BEFORE DELETE ON payments BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
  CREATE TRIGGER bindingsStay BEFORE UPDATE ON bindings BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
  CREATE TRIGGER bindingsLast BEFORE DELETE ON bindings BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
  CREATE TRIGGER claimsStay BEFORE UPDATE OF claimId, hotkey, text, signature, amountRao, asset, payoutColdkey, receipts, at, block
    ON claims BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
  CREATE TRIGGER claimsLast BEFORE DELETE ON claims BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
  CREATE TRIGGER statementsStay BEFORE UPDATE OF number, id, runId, stage, hotkey, fromStep, toStep, receipts, link, amountRao,
    fromBlock, toBlock, at ON statements BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
  CREATE TRIGGER statementsLast BEFORE DELETE ON statements BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
  CREATE TRIGGER receiptsStay BEFORE UPDATE OF number, id, runId, stage, step, microBatches, tokens, flops, worker, previous, next,
    x, dy, y, dx, link, finishedAt, workerSignature, previousSignature, nextSignature, hotkey, amountRao, block, creditedAt,
    sequence, before, raoPerTeraflop ON receipts BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
  CREATE TRIGGER receiptSealedOnce BEFORE UPDATE OF seal ON receipts WHEN old.seal IS NOT NULL
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
  CREATE TRIGGER statementClaimedOnce BEFORE UPDATE OF claimId ON statements WHEN old.claimId IS NOT NULL
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
  `,
  `
  -- What a finished step has counted for each replica of a stage (bits, src-protocol/micro-batch-set.ts): what
  -- receipts of shares are checked against. Rows of old steps are deleted.
  CREATE TABLE shares (
    runId TEXT NOT NULL,
    step INTEGER NOT NULL,
    stage INTEGER NOT NULL,
    worker TEXT NOT NULL,
    generation INTEGER NOT NULL,
    microBatches TEXT NOT NULL,
    PRIMARY KEY (runId, step, stage, worker, generation)
  ) STRICT, WITHOUT ROWID;

  -- The stages of the generation had replicas: each is paid for its share alone.
  ALTER TABLE generations ADD COLUMN isShared INTEGER NOT NULL DEFAULT 0;
  UPDATE generations SET isShared = 1 WHERE (SELECT count(*) > count(DISTINCT stage) FROM assignments a
    WHERE a.runId = generations.runId AND a.generation = generations.generation);

  -- A stage's step may have a receipt of each replica. Those of before keep their numbers and seals.
  ALTER TABLE receipts RENAME TO receiptsOfHolders;
  CREATE TABLE receipts (
    number INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    runId TEXT NOT NULL,
    stage INTEGER NOT NULL,
    step INTEGER NOT NULL,
    microBatches INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    flops INTEGER NOT NULL,
    worker BLOB NOT NULL,
    previous BLOB,
    next BLOB,
    x BLOB,
    dy BLOB,
    y BLOB,
    dx BLOB,
    link BLOB NOT NULL,
    finishedAt INTEGER NOT NULL,
    workerSignature BLOB NOT NULL,
    previousSignature BLOB,
    nextSignature BLOB,
    hotkey INTEGER NOT NULL REFERENCES hotkeys,
    amountRao INTEGER NOT NULL CHECK (amountRao >= 0),
    block INTEGER NOT NULL,
    creditedAt INTEGER NOT NULL,
    -- Null: not added up yet. Then it is in no account either.
    statement INTEGER REFERENCES statements,
    sequence INTEGER,
    before BLOB,
    raoPerTeraflop INTEGER,
    -- Null: not sealed yet.
    seal BLOB,
    -- JSON: a share's peers and their signatures; null: it is of the whole stage.
    share TEXT
  ) STRICT;
  INSERT INTO receipts SELECT number, id, runId, stage, step, microBatches, tokens, flops, worker, previous, next, x, dy, y, dx,
    link, finishedAt, workerSignature, previousSignature, nextSignature, hotkey, amountRao, block, creditedAt, statement,
    sequence, before, raoPerTeraflop, seal, NULL FROM receiptsOfHolders;
  DROP TABLE receiptsOfHolders;
  -- The same work is paid once, however often it was redone.
  CREATE UNIQUE INDEX receiptsOfStages ON receipts (runId, stage, step) WHERE share IS NULL;
  CREATE UNIQUE INDEX receiptsOfShares ON receipts (runId, stage, step, worker) WHERE share IS NOT NULL;
  CREATE INDEX receiptsOfHotkey ON receipts (hotkey, number);
  CREATE INDEX looseReceipts ON receipts (hotkey, runId, stage, step) WHERE statement IS NULL;
  CREATE INDEX receiptsOfStatement ON receipts (statement) WHERE statement IS NOT NULL;
  CREATE TRIGGER receiptsStay BEFORE UPDATE OF number, id, runId, stage, step, microBatches, tokens, flops, worker, previous, next,
    x, dy, y, dx, link, finishedAt, workerSignature, previousSignature, nextSignature, hotkey, amountRao, block, creditedAt,
    sequence, before, raoPerTeraflop, share ON receipts BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
  CREATE TRIGGER receiptSealedOnce BEFORE UPDATE OF seal ON receipts WHEN old.seal IS NOT NULL
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
  `,
  `
  -- A receipt for it was paid: that receipt is deleted one day. Of steps that statements have, whoever was not paid
  -- before this schema is not paid any more.
  ALTER TABLE shares ADD COLUMN isPaid INTEGER NOT NULL DEFAULT 0;
  UPDATE shares SET isPaid = 1 WHERE EXISTS (SELECT 1 FROM statements s
      WHERE s.runId = shares.runId AND s.stage = shares.stage AND s.toStep >= shares.step AND s.fromStep <= shares.step)
    OR EXISTS (SELECT 1 FROM receipts r WHERE r.runId = shares.runId AND r.stage = shares.stage AND r.step = shares.step
      AND lower(hex(r.worker)) = shares.worker);
  `,
  `
  -- Each try to pay a claim on a chain.
  CREATE TABLE payoutAttempts (
    number INTEGER PRIMARY KEY,
    claimId TEXT NOT NULL REFERENCES claims,
    at INTEGER NOT NULL,
    -- Null: nothing was signed.
    extrinsic TEXT,
    outcome TEXT NOT NULL CHECK (outcome IN ('paid', 'waits')),
    detail TEXT,
    -- The claim's part of what the chain took from the payer; null: not known.
    feeRao INTEGER
  ) STRICT;
  `,
];
