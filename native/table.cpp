#include "kernels.h"

namespace splatseg {
namespace SPLATSEG_ISA {

#define SPLATSEG_TEXT(x) #x
#define SPLATSEG_NAME(x) SPLATSEG_TEXT(x)
#define SPLATSEG_POINTER(name, parameters) name,
extern const Kernels kernels;
const Kernels kernels = {SPLATSEG_NAME(SPLATSEG_ISA), SPLATSEG_STAGES(SPLATSEG_POINTER)};

}  // namespace SPLATSEG_ISA
}  // namespace splatseg
