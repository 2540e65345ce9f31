"""How new proxies are found: worlds that say what a program is worth, and an evolver that proposes programs."""
