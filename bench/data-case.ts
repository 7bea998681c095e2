import { gatherData } from "../src-data/gather-data.ts";
import { findTokenizer } from "../src-data/tokenizer.ts";

/** One case of the data benchmark: a folder into a file of tokens, as a training does it. */
const [data = "", home = "", into = ""] = process.argv.slice(2);
const tokenizer = await findTokenizer([home]);
const began = performance.now();
const { tokens, corpus } = await gatherData(data, { vocabulary: 65_536, into, tokenizer });
const seconds = (performance.now() - began) / 1000;
const { user, system } = process.cpuUsage();
const cpuSeconds = (user + system) / 1e6;
const peakBytes = process.resourceUsage().maxRSS * 1024;
process.stdout.write(JSON.stringify({ seconds, cpuSeconds, tokens, sha256: corpus.sha256, peakBytes }));
