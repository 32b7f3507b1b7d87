"""The cheat table's texts and cases: what honest miners and cheats commit. `benchmarks/validation.py` judges them."""
