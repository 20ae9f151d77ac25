"""What touches hardware, and what stands in for it at the lowest seam: registers, pins, frames."""
