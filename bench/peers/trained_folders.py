"""What `tah model train FOLDER` writes is loaded by Transformers, and gives the loss that was said.

    python3 bench/peers/trained_folders.py [NAME …]      with torch 2.15 and transformers 5.24

Every folder of src-engine/fixtures/families is trained for some steps on one token again and again: then each
window of the held-out data is the same, and Transformers can find the loss that the training reported.
"""

import json
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import transformers as hf

ROOT = Path(__file__).resolve().parents[2]
FAMILIES = ROOT / "src-engine" / "fixtures" / "families"
TOKEN, SEQUENCE, STEPS = 7, 12, 5


def train(folder, data, home):
    command = ["npm", "run", "-s", "tah", "--", "model", "train", str(folder), "--data", str(data), "--steps", str(STEPS),
               "--sequence", str(SEQUENCE), "--learning-rate", "3e-3", "--stages", "2", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**__import__("os").environ, "TAH_HOME": str(home)})
    if done.returncode != 0:
        raise SystemExit(f"{folder.name}: {done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def loss_of(folder):
    model, info = hf.AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True, dtype="auto")
    odd = {key: value for key, value in info.items() if value}
    tokens = torch.full((1, SEQUENCE), TOKEN)
    with torch.no_grad():
        logits = model.eval()(input_ids=tokens).logits.float()
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens.flatten()).item(), odd


def main():
    names = sys.argv[1:] or sorted(each.name for each in FAMILIES.iterdir())
    worst = 0
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        (home / "data").mkdir()
        (home / "data" / "same.u16").write_bytes(struct.pack("<H", TOKEN) * 4000)
        for name in names:
            folder = home / name
            shutil.copytree(FAMILIES / name, folder)
            result = train(folder, home / "data", home / "tah")
            before, _ = loss_of(folder)
            after, odd = loss_of(Path(result["out"]))
            error = max(abs(before - result["heldOutLossBefore"]), abs(after - result["heldOutLossAfter"]))
            worst = max(worst, error)
            print(f"{name:14} {before:.5f} -> {after:.5f}, said {result['heldOutLossBefore']:.5f} -> {result['heldOutLossAfter']:.5f}, "
                  f"off by {error:.1e}{', ' + str(odd) if odd else ''}", flush=True)
            if odd or not after < before:
                raise SystemExit(f"{name} was not loaded as it should, or has not learned")
    if worst > 1e-4:
        raise SystemExit("another loss than was said")


if __name__ == "__main__":
    main()
