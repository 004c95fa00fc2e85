/* An empty Python module: the functions beside it are called through ctypes. */
#include <Python.h>

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "native", "Compiled kernels of voxalign.", -1, NULL, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC MODULE(void) { return PyModule_Create(&definition); }
