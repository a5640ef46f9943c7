"""What is handed out: one version, packages, chart archive, labels of images, bills of materials, and the papers."""
