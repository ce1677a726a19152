"""`up`: walks a plan forward, and says beforehand what that will do."""
