"""First masks from boxes and clicks."""
