"""The benchmark (`yaosu bench`): every number of design §5 with what it is compared against, in one run."""
