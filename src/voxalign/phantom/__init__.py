"""Generated anatomy with known truth: heads, chests, limbs and solids, their images, motions and pairs."""
