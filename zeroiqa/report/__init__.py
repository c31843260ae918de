"""What people look at: pictures of regions, files for other tools."""
