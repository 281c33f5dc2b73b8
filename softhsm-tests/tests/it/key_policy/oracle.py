"""What others say of moduli: a hexadecimal number a line in, a JSON object a line out, and then one with all pairs of
them that have a factor in common."""

import itertools
import json
import math
import sys
import warnings

warnings.filterwarnings("ignore")

from badkeys.rsakeys import fermat, roca, smallfactors
from roca.detect import RocaFingerprinter

detector = RocaFingerprinter()
moduli = [int(line, 16) for line in sys.stdin]
for modulus in moduli:
    verdict = {
        "roca_by_residues": detector.has_fingerprint_moduli(modulus),
        "roca_by_logarithm": detector.has_fingerprint_dlog(modulus),
        "roca_of_badkeys": bool(roca(modulus)),
        "close_primes": bool(fermat(modulus)),
        "small_factor": bool(smallfactors(modulus)),
    }
    print(json.dumps(verdict))
pairs = itertools.combinations(enumerate(moduli), 2)
print(json.dumps([[i, j] for (i, one), (j, two) in pairs if one != two and math.gcd(one, two) > 1]))
