"""What each error code means: the source of docs/errors.md and of `flipflow explain`."""

CATALOGUE: dict[str, str] = {
    # configuration (E100-E149)
    # training and data (E150-E199)
    # import, check, integer net (E200-E249)
    # FINN lowering (E250-E299)
    # hardware: ops, folding, stitching (E300-E349)
    # hardware tools (E350-E379)
    # simulation (E400-E449)
    # verification (E450-E499)
    # machine and tools (E500-E549)
}
