"""
The reference of `npm run bench -- data`: what a Python script with Hugging Face's tokenizers does
with the same files. data_reference.py DATA TOKENIZER_FOLDER OUTPUT; prints one line of JSON.
"""

import gzip
import hashlib
import json
import os
import re
import resource
import sys
import time

import numpy
import pyarrow.parquet
from tokenizers import Tokenizer

BATCH_LETTERS = 2_000_000
LINE = re.compile(r"\S\n(?=\S)")


def documents(folder):
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if name.endswith(".parquet"):
            for batch in pyarrow.parquet.ParquetFile(path).iter_batches(batch_size=1024, columns=["text"]):
                for text in batch.column(0).to_pylist():
                    yield text, True
        elif name.endswith(".jsonl.gz"):
            with gzip.open(path, "rt", encoding="utf-8") as file:
                for line in file:
                    yield json.loads(line)["text"], True
        else:
            with open(path, encoding="utf-8") as file:
                rest = ""
                while chunk := file.read(1 << 20):
                    rest += chunk
                    start = 0
                    while found := LINE.search(rest, start + 65_535):
                        yield rest[start : found.end()], False
                        start = found.end()
                    rest = rest[start:]
                yield rest, True


def batches(items):
    batch, letters = [], 0
    for item in items:
        batch.append(item)
        letters += len(item[0])
        if letters >= BATCH_LETTERS:
            yield batch
            batch, letters = [], 0
    if batch:
        yield batch


data, home, into = sys.argv[1:4]
tokenizer = Tokenizer.from_file(os.path.join(home, "tokenizer.json"))
tokenizer.no_truncation()
tokenizer.no_padding()
end = next(id for id in map(tokenizer.token_to_id, ["<|endoftext|>", "</s>"]) if id is not None)
began = time.perf_counter()
count, digest = 0, hashlib.sha256()
with open(into, "wb") as out:
    for batch in batches(documents(data)):
        encoded = tokenizer.encode_batch([text for text, _ in batch], add_special_tokens=False)
        ids = [id for (_, ends), each in zip(batch, encoded) for id in (each.ids + [end] if ends else each.ids)]
        numbers = numpy.asarray(ids, dtype=numpy.uint16).tobytes()
        out.write(numbers)
        digest.update(numbers)
        count += len(ids)
seconds = time.perf_counter() - began
used = resource.getrusage(resource.RUSAGE_SELF)
cpu = used.ru_utime + used.ru_stime
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"seconds": seconds, "cpuSeconds": cpu, "tokens": count, "sha256": digest.hexdigest(), "peakBytes": peak}))
