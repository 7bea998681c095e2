import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, test } from "vitest";
import { Failure } from "../../src-protocol/failure.ts";
import { temporaryFolder } from "../test-support/folder.test-support.ts";
import { BLOBS_FOLDER, DATABASE_FILE, Store, bigintOf, numberOf } from "./store.ts";
import { storageFailure } from "./storage-failure.ts";

const ignore = () => {};

function codeOf(work: () => unknown): string {
  try {
    work();
    return "none";
  } catch (error) {
    return error instanceof Failure ? error.code : String(error);
  }
}

/** Of this process. */
function openFiles(): string[] {
  return readdirSync("/proc/self/fd").flatMap((descriptor) => {
    try {
      return [readlinkSync(join("/proc/self/fd", descriptor))];
    } catch {
      // The one that the folder was read with.
      return [];
    }
  });
}

describe("the store", () => {
  test("keeps what was committed, durably and in WAL mode", async () => {
    const folder = temporaryFolder();
    const store = Store.open(folder, ignore);
    await store.write(() => store.run("INSERT INTO balances VALUES ('a', :rao)", { rao: 2n ** 62n }));
    expect(store.get("PRAGMA synchronous")?.synchronous).toBe(2n);
    expect(store.get("PRAGMA journal_mode")?.journal_mode).toBe("wal");
    store.close();
    const again = Store.open(folder, ignore);
    expect(bigintOf(again.get("SELECT rao FROM balances")?.rao)).toBe(2n ** 62n);
    again.close();
  });

  test("many writes share a commit, in order", async () => {
    const store = Store.open(temporaryFolder(), ignore);
    const order: number[] = [];
    const writes = Array.from({ length: 500 }, (_, i) =>
      store.write(() => {
        order.push(i);
        store.run("INSERT INTO balances VALUES (:account, 1)", { account: String(i) });
        return i;
      }),
    );
    // 200 rows do not wait for the clock.
    expect(order).toHaveLength(400);
    expect(await Promise.all(writes)).toEqual(Array.from({ length: 500 }, (_, i) => i));
    expect(order).toEqual([...order].sort((a, b) => a - b));
    store.close();
  });

  test.runIf(process.platform === "linux")("what a job could have to undo goes to no file", async () => {
    const store = Store.open(temporaryFolder(), ignore);
    const fill = `WITH RECURSIVE accounts (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM accounts WHERE n < 10000)
      INSERT INTO balances SELECT 'account ' || n, n FROM accounts`;
    await store.write(() => store.run(fill));
    // Every page is changed twice in one commit.
    void store.write(() => store.run("UPDATE balances SET rao = rao + 1"));
    const opened = await store.write(() => {
      store.run("UPDATE balances SET rao = rao + 1");
      return openFiles();
    });
    // SQLite's own name for its temporary files.
    expect(opened.filter((path) => path.includes("etilqs"))).toEqual([]);
    expect(opened.some((path) => path.endsWith(`${DATABASE_FILE}-wal`))).toBe(true);
    store.close();
  });

  test("what can wait goes with the next commit, in its order, or with the one that everything has to be in", async () => {
    const store = Store.open(temporaryFolder(), ignore);
    let commits = 0;
    store.onCommit(() => commits++);
    const put = (account: string) => (): unknown =>
      store.run("INSERT INTO balances SELECT :account, count(*) FROM balances", { account });
    const accounts = (): unknown[] =>
      store.all("SELECT account FROM balances ORDER BY rao").map((row) => row.account);
    const later = store.writeLater(put("later"));
    await store.write(put("soon"));
    await later;
    expect(accounts()).toEqual(["later", "soon"]);
    expect(commits).toBe(1);
    const kept = store.writeLater(put("kept"));
    store.makeSafe();
    await kept;
    const read = store.writeLater(put("read"));
    await store.settled("soon");
    await read;
    expect(accounts()).toEqual(["later", "soon", "kept", "read"]);
    expect(commits).toBe(3);
    await store.settled("soon");
    expect(commits).toBe(3);
    const last = store.writeLater(put("last"));
    store.close();
    await last;
  });

  test("work that throws undoes its own rows only", async () => {
    const store = Store.open(temporaryFolder(), ignore);
    const good = store.write(() => store.run("INSERT INTO balances VALUES ('good', 1)"));
    const bad = store.write(() => {
      store.run("INSERT INTO balances VALUES ('bad', 1)");
      throw new Failure("no", "No.");
    });
    await expect(bad).rejects.toThrow("No.");
    await good;
    expect(store.all("SELECT account FROM balances").map((row) => row.account)).toEqual(["good"]);
    store.close();
  });

  test("a full disk is told once, refuses every write and loses nothing stored", async () => {
    const folder = temporaryFolder();
    const told: unknown[] = [];
    const store = Store.open(folder, (error) => told.push(error));
    await store.write(() => store.run("INSERT INTO balances VALUES ('kept', 1)"));
    store.get("PRAGMA max_page_count = 1");
    const big = store.write(() =>
      store.run("INSERT INTO meta VALUES ('big', :value)", { value: "x".repeat(1_000_000) }),
    );
    await expect(big).rejects.toMatchObject({ code: "folder-full" });
    await expect(store.write(() => 1)).rejects.toMatchObject({ code: "folder-full" });
    expect(told).toHaveLength(1);
    store.close();
    const again = Store.open(folder, ignore);
    expect(numberOf(again.get("SELECT count(*) AS n FROM balances")?.n)).toBe(1);
    again.close();
  });

  test("the ledger's rows cannot be changed or deleted", async () => {
    const store = Store.open(temporaryFolder(), ignore);
    await store.write(() => {
      store.run("INSERT INTO book VALUES (1, 'claim', 'x', 1, x'00')");
      store.run("INSERT INTO postings VALUES (1, 'a', 5)");
    });
    for (const sql of ["UPDATE postings SET amountRao = 6", "DELETE FROM postings", "DELETE FROM book"]) {
      await expect(store.write(() => store.run(sql))).rejects.toThrow("append-only");
    }
    store.close();
  });

  test("what was written safely outlives the loss of the write-ahead log", async () => {
    const folder = temporaryFolder();
    const store = Store.open(folder, ignore);
    let safe = 0;
    store.onSafe(() => (safe += 1));
    await store.writeSafely(() => store.run("INSERT INTO balances VALUES ('safe', 1)"));
    expect(safe).toBe(1);
    await store.write(() => store.run("INSERT INTO balances VALUES ('not', 1)"));
    const copy = temporaryFolder();
    copyFileSync(join(folder, DATABASE_FILE), join(copy, DATABASE_FILE));
    store.close();
    const without = Store.open(copy, ignore);
    expect(without.all("SELECT account FROM balances").map(({ account }) => account)).toEqual(["safe"]);
    without.close();
  });
});

describe("opening a folder that cannot be used", () => {
  test("a file that is no database is refused and left as it is", () => {
    const folder = temporaryFolder();
    const path = join(folder, DATABASE_FILE);
    writeFileSync(path, "not a database, but somebody's notes ".repeat(200));
    const before = readFileSync(path);
    expect(codeOf(() => Store.open(folder, ignore))).toBe("database-corrupt");
    expect(readFileSync(path).equals(before)).toBe(true);
  });

  test("a kill's write-ahead log is not poured into a file that is no database", () => {
    const folder = temporaryFolder();
    const path = join(folder, DATABASE_FILE);
    const store = Store.open(folder, ignore);
    const log = readFileSync(`${path}-wal`);
    store.close();
    writeFileSync(path, "garbage ".repeat(1000));
    writeFileSync(`${path}-wal`, log);
    const before = readFileSync(path);
    expect(codeOf(() => Store.open(folder, ignore))).toBe("database-corrupt");
    expect(readFileSync(path).equals(before)).toBe(true);
    expect(readFileSync(`${path}-wal`).equals(log)).toBe(true);
  });

  test("a database that was emptied is no new one", () => {
    const folder = temporaryFolder();
    Store.open(folder, ignore).close();
    mkdirSync(join(folder, BLOBS_FOLDER));
    writeFileSync(join(folder, DATABASE_FILE), "");
    expect(codeOf(() => Store.open(folder, ignore))).toBe("database-corrupt");
    expect(readFileSync(join(folder, DATABASE_FILE))).toHaveLength(0);
  });

  test("a damaged database is refused and left as it is", () => {
    const folder = temporaryFolder();
    const path = join(folder, DATABASE_FILE);
    Store.open(folder, ignore).close();
    const bytes = readFileSync(path);
    bytes.fill(0xff, 4096, 3 * 4096);
    writeFileSync(path, bytes);
    expect(codeOf(() => Store.open(folder, ignore))).toBe("database-corrupt");
    expect(readFileSync(path).equals(bytes)).toBe(true);
  });

  test("a database of a newer version is refused", () => {
    const folder = temporaryFolder();
    Store.open(folder, ignore).close();
    const database = new DatabaseSync(join(folder, DATABASE_FILE));
    database.exec("PRAGMA user_version = 99");
    database.close();
    expect(codeOf(() => Store.open(folder, ignore))).toBe("database-newer");
  });

  test("a folder that another orchestrator uses is refused", () => {
    const folder = temporaryFolder();
    const store = Store.open(folder, ignore);
    expect(codeOf(() => Store.open(folder, ignore))).toBe("folder-in-use");
    store.close();
  });

  test("a path that is a file is refused", () => {
    const path = join(temporaryFolder(), "file");
    writeFileSync(path, "");
    expect(codeOf(() => Store.open(path, ignore))).toBe("folder-unusable");
  });

  // Root may write anywhere.
  test.skipIf(process.getuid?.() === 0)("a folder without the right to write is refused", () => {
    const folder = join(temporaryFolder(), "read-only");
    mkdirSync(folder);
    chmodSync(folder, 0o500);
    expect(codeOf(() => Store.open(folder, ignore))).toBe("folder-read-only");
  });

  test.each([
    ["ENOSPC", "folder-full"],
    ["EDQUOT", "folder-full"],
    ["EROFS", "folder-read-only"],
    ["EACCES", "folder-read-only"],
    ["EIO", "disk-error"],
  ])("the system's %s is %s", (code, expected) => {
    expect(storageFailure(Object.assign(new Error("x"), { code }), "/data")).toMatchObject({
      code: expected,
    });
  });

  test.each([
    [13, "folder-full"],
    [8, "folder-read-only"],
    [1 * 256 + 10, "disk-error"],
    [11, "database-corrupt"],
  ])("SQLite's %i is %s", (errcode, expected) => {
    expect(storageFailure(Object.assign(new Error("x"), { errcode }), "/data")).toMatchObject({
      code: expected,
    });
  });
});

test("what comes after the end is refused to who sends it, and breaks nothing", async () => {
  const store = Store.open(temporaryFolder(), (error) => {
    throw error;
  });
  store.close();
  await expect(store.write(() => undefined)).rejects.toMatchObject({ code: "store-closed" });
  await expect(store.writeSafely(() => undefined)).rejects.toMatchObject({ code: "store-closed" });
});
