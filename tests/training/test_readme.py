from tinygrad_ckn.training.folder import FINISHED, TRAINED, WORTHLESS
from tinygrad_ckn.training.readme import README, TEXT


def test_each_file_of_a_run_is_explained():
    of_compare = {"comparison.json", "comparison.png"}
    explained = {line.split()[0] for line in TEXT.splitlines() if line[:1].strip()}
    assert {*FINISHED, *TRAINED, *WORTHLESS} - of_compare - {README} <= explained
