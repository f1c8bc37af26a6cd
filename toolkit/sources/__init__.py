"""The PyTorch sources that models are made from. torch is imported inside functions only: workers
without torch read these modules too."""
