"""Opens our wallets with Bittensor's own packages, and theirs with ours: plain and under a password.

    python3 -m venv /tmp/wallets
    /tmp/wallets/bin/pip install bittensor-wallet==4.1.1    # or: bittensor==11.3.0
    /tmp/wallets/bin/python bench/peers/wallet_tools.py

It works in a temporary folder, prints a line for each case, and ends with 1 when one fails. The product
and its tests need no Python.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "correct horse battery"

try:
    from bittensor_wallet import Keypair, Wallet
    from importlib.metadata import version

    TOOLS = f"bittensor-wallet {version('bittensor-wallet')}"
except ImportError:
    from bittensor import Wallet
    from bittensor_core import Keypair
    from importlib.metadata import version

    TOOLS = f"bittensor {version('bittensor')}"

failed = 0


def check(what, is_good):
    global failed
    failed += not is_good
    print(f"{'ok  ' if is_good else 'FAIL'} {what}")


def tah(*words):
    command = ["node", "scripts/with-node.mjs", "src-cli/tah.ts", "wallet", *words, "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    if done.stdout.strip() == "":
        raise SystemExit(f"tah wallet {' '.join(words)}: {done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def signs_for(pair, address):
    message = "Train at Home and Bittensor's tools"
    signature = pair.sign(message.encode()).hex()
    answer = tah("verify", "--message", message, "--signature", signature, "--address", address)
    return pair.ss58_address == address and answer["valid"]


def ours_in_theirs(folder, password_file):
    place = ["--wallets", str(folder), "--home", str(folder / "home")]
    plain_hot = tah("create", "ours", *place)["key"]["address"]
    locked_hot = tah("create", "ours", "--hotkey", "locked", "--password-file", password_file, *place)["key"]
    cold = tah("create", "ours", "--coldkey", "--password-file", password_file, *place)["key"]["address"]
    open_cold = tah("create", "open", "--coldkey", "--no-password", *place)["key"]["address"]

    def wallet(name, hotkey="default"):
        return Wallet(name=name, hotkey=hotkey, path=str(folder))

    check("our plain hotkey opens and signs", signs_for(wallet("ours").get_hotkey(), plain_hot))
    check(
        "our hotkey under a password opens and signs",
        signs_for(wallet("ours", "locked").get_hotkey(PASSWORD), locked_hot["address"]),
    )
    check("our coldkey under a password opens and signs", signs_for(wallet("ours").get_coldkey(PASSWORD), cold))
    check("our plain coldkey opens and signs", signs_for(wallet("open").get_coldkey(), open_cold))
    check("our coldkeypub.txt names the coldkey", wallet("ours").coldkeypub.ss58_address == cold)


def theirs_in_ours(folder, password_file):
    place = ["--wallets", str(folder), "--home", str(folder / "home")]
    plain = Wallet(name="theirs", hotkey="default", path=str(folder))
    plain.create_new_coldkey(use_password=False, suppress=True, overwrite=True)
    plain.create_new_hotkey(use_password=False, suppress=True, overwrite=True)
    locked = Wallet(name="locked", hotkey="locked", path=str(folder))
    locked.create_new_coldkey(use_password=True, suppress=True, overwrite=True, coldkey_password=PASSWORD)
    locked.create_new_hotkey(use_password=True, suppress=True, overwrite=True, hotkey_password=PASSWORD)

    def exported(name, *words):
        return tah("export", name, "--yes", *words, *place)

    mine = exported("theirs")
    check("their plain hotkey is opened", mine["key"]["address"] == plain.get_hotkey().ss58_address)
    phrase_pair = Keypair.create_from_mnemonic(mine["phrase"])
    check("its phrase is theirs", phrase_pair.ss58_address == mine["key"]["address"])
    mine = exported("theirs", "--coldkey")
    check("their plain coldkey is opened", mine["key"]["address"] == plain.get_coldkey().ss58_address)
    mine = exported("locked", "--coldkey", "--password-file", password_file)
    check(
        "their coldkey under a password is opened",
        mine["key"]["address"] == locked.get_coldkey(PASSWORD).ss58_address,
    )
    mine = exported("locked", "--hotkey", "locked", "--password-file", password_file)
    check(
        "their hotkey under a password is opened",
        mine["key"]["address"] == locked.get_hotkey(PASSWORD).ss58_address,
    )
    listed = {row["name"]: row for row in tah("list", *place)["wallets"]}
    check(
        "their wallets are listed with what holds them",
        listed["theirs"]["hotkeys"][0]["holds"] == "secret" and listed["locked"]["coldkey"]["holds"] == "locked",
    )
    edwards = Wallet(name="edwards", hotkey="default", path=str(folder))
    edwards.create_new_hotkey(use_password=False, suppress=True, overwrite=True, crypto_type=0)
    row = {row["name"]: row for row in tah("list", *place)["wallets"]}["edwards"]["hotkeys"][0]
    check("their ed25519 hotkey is called sound, and refused", "is sound" in (row["problem"] or ""))


with tempfile.TemporaryDirectory(prefix="tah-wallets-") as temporary:
    password_file = Path(temporary) / "password"
    password_file.write_text(PASSWORD)
    print(TOOLS)
    ours_in_theirs(Path(temporary) / "a", str(password_file))
    theirs_in_ours(Path(temporary) / "b", str(password_file))
sys.exit(1 if failed else 0)
