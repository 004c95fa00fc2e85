"""Every tolerance of the tests, in one table: what may differ, by how much, and why."""

# ---- geometry
WORLD_MM = 1e-9  # index <-> world in float64: rounding only, up to metres
SAME_PLACE_MM = 1e-3  # two programs naming the same world point (headers hold float32)

# ---- sampling, as a part of the range of the image
RESAMPLED = 1e-4  # against SimpleITK, linear; ITK interpolates in float64 and stores float32
RESAMPLED_CUBIC_INTERIOR = 2e-3  # B-spline: the programs differ in how they continue the image beyond its edge
SAME_IMAGE = 1e-5  # the same physical image stored with other axes: the order of float32 sums
IDENTITY = 0.0  # resampling on the same grid changes nothing

# ---- kernels: compiled against reference
KERNEL = 5e-6  # part of the range; float32 sums in another order
KERNEL_LOOSER = {
    "invert": 4e-3,  # both stop at 1e-3 voxel, from different sides
    "lncc": 1e-2,  # differences of float32 window sums, divided by variances that may be tiny
    "window_statistics": 1e-3,  # the same
    "mind": 1e-4,  # differences of float32 window sums
    "mind_difference": 2e-3,  # the same, and their reciprocals
    "ssim": 5e-4,  # the same; its constants keep the denominators away from 0
}
KERNEL_TENSOR = 1e-5  # part of the range; tensors hold positions in float32 too
KERNEL_TENSOR_LOOSER = {
    "invert": 4e-3,  # as above
    "lncc": 3e-2,  # as above; windows of a few voxels that hardly vary
    "window_statistics": 3e-3,  # the same
    "ssim": 2e-3,  # the same
}
KERNEL_TIE = 1e-4  # voxels: nearer than this to a rounding or border decision, either answer is right

# ---- devices: torch against the compiled kernels
DEVICES_LINEAR_VOXELS = 0.01  # of whole registrations; the steps are the same, rounding differs
DEVICES_DEFORMABLE_VOXELS = 0.05  # of 999 voxels in 1000

# ---- metrics
OVERLAP = 1e-12  # counts are exact; only the quotient rounds
SURFACE_MM = 1e-6  # distances between voxel centres
SIMILARITY = 1e-4  # of correlations and entropies: float32 images
SSIM_EDGE = 2e-3  # windows cut at the edge of the image (ours) against an image that continues there
JACOBIAN_LINEAR = 1e-12  # linear maps need no finite differences
JACOBIAN_FIELD = 2e-4  # float32 displacements divided by a voxel
JACOBIAN_ANALYTIC = 5e-3  # central differences of a smooth map
POINT_MM = 1e-5  # points through float32 displacement fields

# ---- transforms
GENERATOR = 1e-4  # mm per unit of an update, against finite differences
INVERSE_VOXELS = 0.01  # residual of a numeric inverse at the voxels of its grid
INVERSE_BETWEEN_VOXELS = 0.15  # between them both fields are interpolated linearly (largest voxel edge, coarse test grids)
INVERSE_SVF_VOXELS = 0.1  # exp(v) after exp(-v), each interpolated linearly
TEXT_MATRIX = 1e-8  # matrices through text of 12 digits, up to 100 mm
GOLDEN = 5e-5  # other programs write six digits, or float32

# ---- phantom
PHANTOM_VOLUME = 0.03  # of a structure over 20 ml, between grids: voxels counted by their centres
PHANTOM_VOLUME_SMALL = 0.12  # of smaller ones
PHANTOM_INVERSE_MM = 0.15  # exp(-v) after exp(v), both linear between nodes 4 mm apart
PHANTOM_VOXEL = 0.5  # middle of a structure of a few voxels, from voxels counted by their centres
PHANTOM_MEAN = 0.01  # mean of a tissue in an image without noise
EXACT_MM = 1e-9  # closed forms in float64

# ---- losses
LOSS_DERIVATIVE = 1e-2  # of the gradient's norm: float32 values against finite differences, and kinks of MIND's least channel
LOSS_VALUE = 2e-5  # float32 window sums in another order
LOSS_TERMS = 2e-3  # of the largest; the same, divided by small variances
LOSS_STEP = 4  # curvature against the best curvature for a shift: a step that is too long or too short by this still converges

# ---- filters and features, as a part of the range of the image
FILTER_FLOAT = 2e-5  # float32 against float64
FILTER_OTHER_PROGRAM = 5e-3  # another program's truncation of Gaussians, tables, and faces
FILTER_PHYSICAL = 0.02  # the same filter in mm on grids of other spacings: what the coarser one cannot hold

# ---- first position, linear registration
START_MM = 6  # one voxel of the finest level that the search looks at
LINEAR_MM = 1.0  # a rigid registration of 6 mm voxels
LNCC_FLOOR = 3e-3  # what the variance added to every window (2e-6 of the range squared) takes from equal, smooth images
EDGES_OF_OTHERS = 0.9  # part of the edge voxels that another program has within a voxel
EDGE_MM = 0.5  # mean distance of edge voxels from a smooth surface, in voxels
SHAPE = 0.03  # of moments and sizes of solids of about 30 voxels across, from voxels counted by their centres
SHAPE_EXACT = 1e-9  # the same sums in float64
KEYPOINT_MM = 0.3  # of a smooth blob's place
KEYPOINT_START_MM = 3.0  # of matched keypoints under a deformation of 6 mm

# ---- networks
NETWORK_BATCH_VOXELS = 1e-3  # a pair alone or in a batch: float32 sums in another order
LEARNED_VELOCITY_MM = 0.15  # flows sampled every 2 voxels of up to 2.3 mm and interpolated linearly
LEARNED_STORAGE_MM = 0.02  # the same images with other axes: resampled and convolved in another order

# ---- optimisers
SAME_STEPS = 1e-9  # two programs, thirty steps, float64
OPTIMUM = 1e-5  # of a well conditioned function of parameters of about 1
IMAGE_SLOPE = 0.1  # central differences against the slope of the interpolated image, and voxels that enter and leave
OPTIMUM_VALLEY = 1e-2  # of Rosenbrock's, whose floor is nearly flat

# ---- ready pipelines, at 3 to 3.5 mm; what they promise
PLANTED_PERCENT = 3.0  # of a volume
CARRIED_VOLUME = 0.01  # part of the volume of labels of some hundred voxels that touch: rounding, and who gets the voxels between
PLANTED_MM = 1.0  # between centroids
JOINT_DEGREES = 1.0
RIGID_UPDATE_MM = 0.5  # largest error in the head: a sixth of a voxel

# ---- training
EPSILON = 1e-9  # of differential privacy, against another program's sum over the same orders
GRADIENT = 5e-4  # part of the largest; float32 sums over samples in another order

# ---- sequences
FRAME_VOXELS = 0.07  # rigid motion of generated frames, each with noise and shading of its own; the bar is 0.1
RARE = 0.1  # by which balance has to improve the Dice of a structure of 1 %

# ---- time points
ORDER_MM = 1e-6  # the order they are given in decides nothing but names
