"""What documents were before: segments of before-images, and two decisions about documents others have written."""
